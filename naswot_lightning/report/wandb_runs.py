"""What is shown in wandb. The run folder's files are the truth; wandb is a view of them."""

from __future__ import annotations

import logging
import netrc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from naswot_lightning.config import WandbConfig

Row = dict[str, Any]
Mode = Literal["online", "offline", "disabled"]

log = logging.getLogger(__name__)
_TABLE_ROWS = 10_000  # what wandb shows of one table
_INIT_SECONDS = 60.0


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


def start_run(config: WandbConfig, folder: Path, settings: Mapping[str, Any], **arguments: Any) -> Any:
    """Start a wandb run in ``folder``/wandb, or return None where wandb is disabled.

    With mode ``auto`` an unreachable server means an offline run, to be sent with ``wandb sync``.
    """
    import wandb

    mode = resolve_mode(config.mode)
    if mode == "disabled":
        return None
    folder.mkdir(parents=True, exist_ok=True)
    shared: dict[str, Any] = {
        "project": config.project,
        "dir": str(folder),
        "config": dict(settings),
        "resume": "allow",
        "settings": wandb.Settings(silent=True, console="off", init_timeout=_INIT_SECONDS),
        **arguments,
    }
    try:
        return wandb.init(mode=mode, **shared)
    except (wandb.errors.CommError, wandb.errors.AuthenticationError) as error:
        if config.mode != "auto":
            raise
        log.warning("wandb cannot be reached (%s): the run is kept offline in %s/wandb", error, folder)
        return wandb.init(mode="offline", **shared)


def log_search(run: Any, ranking: Sequence[Row], columns: Sequence[str], summary: Mapping[str, Any]) -> None:
    """Log a ranking as one table and one histogram, and end the run."""
    import wandb

    table = wandb.Table(columns=list(columns), data=[[row[c] for c in columns] for row in ranking[:_TABLE_ROWS]])
    scores = [row["score"] for row in ranking if row["status"] == "ok"]
    run.log({"ranking": table, **({"score": wandb.Histogram(scores)} if scores else {})})
    run.summary.update({name: value for name, value in summary.items() if value is not None})
    run.finish()


def log_comparison(
    run: Any, results: Sequence[Row], columns: Sequence[str], summary: Mapping[str, Any], figures: Mapping[str, Path]
) -> None:
    """Log the comparison of trained picks as a table and its figures, and end the run."""
    import wandb

    table = wandb.Table(columns=list(columns), data=[[row[name] for name in columns] for row in results])
    run.log({"comparison": table, **{name: wandb.Image(str(path)) for name, path in figures.items()}})
    run.summary.update({name: value for name, value in summary.items() if value is not None})
    run.finish()
