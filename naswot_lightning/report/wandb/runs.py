"""Start and end runs of wandb; the comparison of a run folder's picks as one, which later commands take up."""

from __future__ import annotations

import logging
import netrc
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from naswot_lightning.config import WandbConfig
from naswot_lightning.errors import UserError, describe_error, reason_of
from naswot_lightning.report.findings import Findings, find
from naswot_lightning.report.loggers import LoggedRun, logged_run
from naswot_lightning.report.run import Run, read_run
from naswot_lightning.report.wandb.content import comparison_config, content_of, log_comparison
from naswot_lightning.storage.files import lock_folder, write_json
from naswot_lightning.storage.records import parse_json
from naswot_lightning.storage.run_folder import RunFolder

Mode = Literal["online", "offline", "disabled"]

log = logging.getLogger(__name__)
_INIT_SECONDS = 60.0
# For another run that starts.
_PATIENCE_S = 20.0


def sent_runs(folder: RunFolder) -> list[str]:
    """Return the runs that were logged whole, and need not be logged again; none where the file was lost or damaged."""
    try:
        sent = parse_json(folder.wandb_runs.read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    return [each for each in sent if isinstance(each, str)] if isinstance(sent, list) else []


def mark_sent(folder: RunFolder, run_id: str) -> None:
    """Remember that a run was logged whole; only under the folder's lock."""
    write_json(folder.wandb_runs, [*sent_runs(folder), run_id])


def resolve_mode(mode: str) -> Mode:
    """Turn ``auto`` into online where an API key is set and offline otherwise; it never asks.

    ``WANDB_MODE`` in the environment decides where the mode is ``auto``.
    """
    if mode == "auto":
        host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
        has_key = bool(os.environ.get("WANDB_API_KEY"))
        with suppress(OSError, netrc.NetrcParseError):
            has_key = has_key or netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
        mode = os.environ.get("WANDB_MODE", "online" if has_key else "offline")
    modes: dict[str, Mode] = {"online": "online", "run": "online", "shared": "online", "disabled": "disabled"}
    return modes.get(mode, "offline")


def start_run(wandb_mode: str, run: LoggedRun, config: Mapping[str, Any]) -> Any:
    """Start a wandb run in ``wandb`` of its folder, or return None where wandb is disabled or cannot start.

    Unless the mode is ``online``, an unreachable server means an offline run, to be sent with ``wandb sync``, and
    anything else that goes wrong (a variable of the environment, a folder) is one line of warning. With ``online`` it
    is a UserError.
    """
    mode, folder = resolve_mode(wandb_mode), run.folder
    if mode == "disabled":
        return None
    try:
        (folder / "wandb").mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            # Runs of a folder that start together ask the server one after the other, for as long as is bearable:
            # another may still be asking.
            with suppress(UserError):
                if mode == "online":
                    stack.enter_context(lock_folder(folder / "wandb", _PATIENCE_S))
            wandb = _import_wandb(folder)
            # Wandb's reports on itself.
            logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
            arguments = {
                "id": run.id,
                "name": run.name,
                "group": run.group,
                "job_type": run.job,
                "project": run.project,
                # Wandb's service has a working directory of its own.
                "dir": str(folder.resolve()),
                "config": dict(config),
                "resume": "allow",
                # A comparison and a pick may be open in one process.
                "reinit": "create_new",
                "settings": wandb.Settings(silent=True, console="off", init_timeout=_INIT_SECONDS),
            }
            try:
                return wandb.init(mode=mode, **arguments)
            except (wandb.errors.CommError, wandb.errors.AuthenticationError) as error:
                if wandb_mode == "online":
                    raise
                reason = str(error).splitlines()[0]
                log.warning("wandb cannot be reached (%s): the run is kept offline in %s/wandb", reason, folder)
                # The service keeps the settings of the run that it could not start.
                wandb.teardown()
                return wandb.init(mode="offline", **arguments)
    except Exception as error:  # noqa: BLE001 - of pydantic, of wandb, of the system
        reason = reason_of(error)
        if wandb_mode == "online":
            raise UserError(f"--wandb.mode online: {reason}; use --wandb.mode offline, and wandb sync later") from None
        log.warning("wandb cannot start (%s): nothing is shown there, all results are in %s", reason, folder)
        return None


def _import_wandb(folder: Path) -> Any:
    """Import wandb so that it reads and writes nothing where it should not.

    ``wandb/settings`` in the working directory could name another server, which would get the API key: it is not read.
    Where the home folder cannot be written, as in many containers, logs and staged files lie in ``folder``/wandb.
    """
    import wandb

    wandb.Settings.settings_workspace = property(lambda _: os.devnull)  # type: ignore[method-assign, assignment]
    for name, place in (("WANDB_CACHE_DIR", wandb.env.get_cache_dir()), ("WANDB_DATA_DIR", wandb.env.get_data_dir())):
        path, is_ready = Path(place), False
        # "~" of a user without a home is not absolute.
        if path.is_absolute():
            with suppress(OSError):
                path.mkdir(parents=True, exist_ok=True)
                is_ready = os.access(path, os.W_OK)
        os.environ[name] = str(place if is_ready else (folder / "wandb").resolve())
    return wandb


def send(run: Any, show: Callable[[Any], None]) -> bool:
    """Log what a run holds and end it; return whether that went well.

    What goes wrong is one line of warning: the results are in the files.
    """
    try:
        show(run)
        run.finish()
    except Exception as error:  # noqa: BLE001 - of wandb, of its service, of what is drawn for it
        log.warning("wandb has not all of run %s (%s)", run.name, reason_of(error))
        with suppress(Exception):
            run.finish(exit_code=1)
        return False
    return True


class ComparisonRun:
    """The run of a folder's comparison, which is started by what is logged first; only under the folder's lock."""

    def __init__(self, folder: RunFolder, wandb: WandbConfig) -> None:
        self.folder, self._wandb = folder, wandb
        self._open: Any = None
        self._config: dict[str, Any] = {}
        self._failed: Exception | None = None

    def pick_ended(self) -> None:
        """Log the picks that have ended so far, unless that failed before.

        What goes wrong is one line of warning; with ``online``, a server that is not there is told by :meth:`end`.
        """
        try:
            if self._failed is None:
                self.update()
        except UserError as error:
            self._failed = error
        except Exception as error:  # noqa: BLE001 - wandb's errors are many, and training is worth more
            log.warning("the comparison in wandb is not updated before the end (%s)", describe_error(error))
            self._failed = error

    def update(self) -> None:
        """Log the picks that have ended so far, without pictures; the run stays open."""
        if resolve_mode(self._wandb.mode) == "disabled":
            return
        run = read_run(self.folder)
        if run.results and (tracked := self._start(run)) is not None:
            log_comparison(tracked, run, find(run), None)

    def end(self, run: Run, findings: Findings, figures: Mapping[str, Path]) -> None:
        """Log all picks with pictures, and end the run; nothing is done where a command before has logged all that."""
        if isinstance(self._failed, UserError):
            # Asked again, wandb says that the run is in use.
            raise self._failed
        content = f"{self.logged.id}-{content_of(run)}"
        if self._open is None and content in sent_runs(self.folder):
            return
        tracked, self._open = self._start(run), None
        if tracked is not None and send(tracked, lambda each: log_comparison(each, run, findings, figures)):
            mark_sent(self.folder, content)

    def __enter__(self) -> ComparisonRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the run as one that was cut off, where it is open and the training was interrupted."""
        if kind is not None and self._open is not None:
            self._open.finish(exit_code=1)
            self._open = None

    @property
    def logged(self) -> LoggedRun:
        """The run that shows it."""
        return logged_run(self.folder, self._wandb, "comparison")

    def _start(self, run: Run) -> Any:
        config = comparison_config(run)
        if self._open is None:
            self._open = start_run(self._wandb.mode, self.logged, config)
        elif config != self._config:
            self._open.config.update(config, allow_val_change=True)
        self._config = config
        return self._open
