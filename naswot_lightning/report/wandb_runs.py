"""How a run of wandb is started. The run folder's files are the truth; wandb is a view of them."""

from __future__ import annotations

import logging
import netrc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import locked, read_own, write_json
from naswot_lightning.storage.records import parse_json
from naswot_lightning.storage.run_folder import RunFolder

Mode = Literal["online", "offline", "disabled"]

log = logging.getLogger(__name__)
_INIT_SECONDS = 60.0
_PATIENCE_S = 20.0  # for another run that starts


@dataclass(frozen=True)
class WandbSettings:
    """Where runs are shown.

    Attributes:
        mode: auto, online, offline or disabled.
        project: the wandb project.
        group: of the runs of one run folder; None for its own name.
        artifacts: keep the ranking and the best checkpoints in wandb.
    """

    mode: str = "auto"
    project: str = "naswot-lightning"
    group: str | None = None
    artifacts: bool = False


def wandb_group(folder: RunFolder, wandb: WandbSettings) -> str:
    """Return the group of all runs of a run folder: search, picks and comparison; only under its lock."""
    return wandb.group or f"{folder.name}-{folder.run_id()}"


def was_sent(folder: RunFolder, run_id: str) -> bool:
    """Return whether a run was logged whole, so that it need not be logged again."""
    return run_id in _sent(folder)


def mark_sent(folder: RunFolder, run_id: str) -> None:
    """Remember that a run was logged whole; only under the folder's lock."""
    write_json(folder.wandb_runs, [*_sent(folder), run_id])


def _sent(folder: RunFolder) -> list[str]:
    """Return the runs that were logged whole; none where the file was lost or damaged: they are logged again."""
    try:
        sent = parse_json(read_own(folder.wandb_runs))
    except (FileNotFoundError, ValueError):
        return []
    return [each for each in sent if isinstance(each, str)] if isinstance(sent, list) else []


def resolve_mode(mode: str) -> Mode:
    """Turn ``auto`` into online where an API key is set and offline otherwise; it never asks.

    ``WANDB_MODE`` in the environment decides where the mode is ``auto``.
    """
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE", "online" if _has_api_key() else "offline")
    modes: dict[str, Mode] = {"online": "online", "disabled": "disabled"}
    return modes.get(mode, "offline")


def _has_api_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def start_run(wandb_settings: WandbSettings, folder: Path, settings: Mapping[str, Any], **arguments: Any) -> Any:
    """Start a wandb run in ``folder``/wandb, or return None where wandb is disabled.

    With mode ``auto`` an unreachable server means an offline run, to be sent with ``wandb sync``.

    Raises:
        UserError: the mode is online, and the server cannot be reached or refuses.
    """
    import wandb

    mode = resolve_mode(wandb_settings.mode)
    if mode == "disabled":
        return None
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # of how wandb itself fares
    folder.mkdir(parents=True, exist_ok=True)
    shared: dict[str, Any] = {
        "project": wandb_settings.project,
        "dir": str(folder.resolve()),  # wandb's service has a working directory of its own
        "config": dict(settings),
        "resume": "allow",
        "settings": wandb.Settings(silent=True, console="off", init_timeout=_INIT_SECONDS),
        **arguments,
    }
    try:
        with _in_turn(folder) if mode == "online" else nullcontext():
            return wandb.init(mode=mode, **shared)
    except (wandb.errors.CommError, wandb.errors.AuthenticationError) as error:
        reason = str(error).splitlines()[0]
        if wandb_settings.mode != "auto":
            raise UserError(f"--wandb.mode online: {reason}; use --wandb.mode offline, and wandb sync later") from None
        log.warning("wandb cannot be reached (%s): the run is kept offline in %s/wandb", reason, folder)
        wandb.teardown()  # the service keeps the settings of the run that it could not start
        return wandb.init(mode="offline", **shared)


def send(run: Any, show: Callable[[Any], None]) -> bool:
    """Log what a run holds and end it; return whether that went well.

    What goes wrong between wandb and its server is one line of warning: the results are in the files.
    """
    import wandb

    try:
        show(run)
    except wandb.errors.Error as error:
        log.warning("wandb has not all of run %s (%s)", run.name, str(error).splitlines()[0])
        run.finish(exit_code=1)
        return False
    run.finish()
    return True


@contextmanager
def _in_turn(folder: Path) -> Iterator[None]:
    """Let the runs of a folder that start together ask the server one after the other, for as long as is bearable."""
    (folder / "wandb").mkdir(exist_ok=True)
    with ExitStack() as stack:
        with suppress(UserError):  # another is still asking
            stack.enter_context(locked(folder / "wandb", _PATIENCE_S))
        yield
