"""Loggers of Lightning by the names of ``--logger``: what wandb shows goes to each as far as it has a word for it."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from naswot_lightning.errors import UserError, reason_of
from naswot_lightning.registry import REGISTRIES, names_of, resolve
from naswot_lightning.storage.files import atomic_write, lock_folder
from naswot_lightning.storage.records import parse_json
from naswot_lightning.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig

Result = TypeVar("Result")
log = logging.getLogger(__name__)
# Packages that are not installed by default.
_EXTRAS = ("tensorboard", "mlflow")
# Rows of a table that is shown as text.
_ROWS = 50


@dataclass(frozen=True)
class LoggedRun:
    """What a logger is made of; a function of your own gets it, too: ``--logger my_module.make_logger``."""

    folder: Path
    """the run folder."""
    project: str
    group: str
    """shared by all runs of the run folder."""
    name: str
    id: str
    """of other settings, another."""
    job: str
    """search, train or comparison."""


def parse_loggers(text: str) -> list[str]:
    """Return the names of ``--logger``, separated by ","; code of one's own must be trusted."""
    names = list(dict.fromkeys(name for name in map(str.strip, text.split(",")) if name))
    if not names:
        raise UserError(f"--logger {text!r}: expected one or several of {', '.join(names_of('logger'))}")
    for name in names:
        if name in _EXTRAS and importlib.util.find_spec(name) is None:
            raise UserError(f"--logger {name}: not installed; pip install 'naswot-lightning[{name}]'")
        if name not in REGISTRIES["logger"]:
            resolve("logger", name)
    return names


class SentOnce:
    """A logger that is sent each metric of each step once, and whose faults end neither a search nor a training.

    The last step of every metric is kept in a file, for a training that is killed and continued from an earlier step:
    what was sent cannot be taken back. Where the file is damaged, some steps are sent twice.

    Args:
        name: of ``--logger``.
        run: what it shows.
        make: returns Lightning's logger, by default that of the name; None where it cannot start, which it has said.
        file: of the steps; in ``loggers/`` of the run folder by default.
    """

    def __init__(
        self, name: str, run: LoggedRun, make: Callable[[], Any] | None = None, file: Path | None = None
    ) -> None:
        self.name, self._run, self._make = name, run, make or self._make_by_name
        self._file = file or run.folder / "loggers" / f"{name}-{run.id}.json"
        state: Any = None
        with suppress(OSError, ValueError):
            state = parse_json(self._file.read_bytes())
        self._state: dict[str, Any] = state if isinstance(state, dict) else {}
        steps = self._state.get("steps")
        known = steps.items() if isinstance(steps, dict) else ()
        self._state["steps"] = {metric: step for metric, step in known if isinstance(step, int)}
        self._inner: Any = None
        self._failed = False

    def call(self, use: Callable[[Any], Result]) -> Result | None:
        """Return what is made of the logger, which the first call makes; None once something went wrong."""
        try:
            if self._inner is None and not self._failed:
                self._inner = self._make()
                self._failed = self._inner is None
            return None if self._failed else use(self._inner)
        except Exception as error:  # noqa: BLE001 - of a server, of a user's own logger
            self._failed = True
            log.warning("--logger %s is sent nothing more of %s (%s)", self.name, self._run.name, reason_of(error))
            return None

    def _make_by_name(self) -> Any:
        make = resolve("logger", self.name)
        self._run.folder.joinpath("loggers").mkdir(parents=True, exist_ok=True)
        if self.name != "mlflow":
            return make(self._run)
        # Of several that start together, one makes the experiment. A run is continued by the id that it was given.
        with lock_folder(self._run.folder / "loggers", 60.0):
            made = make(self._run, self._state.get("mlflow run"))
            self._state["mlflow run"] = made.run_id
        return made

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send the metrics that are new at this step; ``epoch`` goes along with them."""
        last = self._state["steps"]
        new = {name: value for name, value in metrics.items() if name != "epoch" and step > last.get(name, -1)}
        axis = {"epoch": metrics["epoch"]} if "epoch" in metrics else {}
        if new:
            self.call(lambda logger: logger.log_metrics({**new, **axis}, step))
        if new and not self._failed:
            last.update(dict.fromkeys(new, step))
            atomic_write(self._file, json.dumps(self._state))

    def show(
        self,
        config: Mapping[str, Any],
        summary: Mapping[str, Any],
        step: int,
        table: pd.DataFrame | None = None,
        figures: Mapping[str, Path] | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        """Send settings, summary, a table as text, pictures and files, each where the logger takes such a thing."""
        if config:
            self.call(lambda logger: logger.log_hyperparams(dict(config)))
        kinds = {name: isinstance(value, int | float) for name, value in summary.items() if value is not None}
        self.metrics({name: float(summary[name]) for name, is_number in kinds.items() if is_number}, step)
        texts = {name: str(summary[name]) for name, is_number in kinds.items() if not is_number}
        self.call(lambda logger: _show_texts(logger, texts, table, step))
        self.call(lambda logger: _show_files(logger, figures or {}, files, step))

    def finish(self) -> None:
        """End the run."""
        self.call(lambda logger: (logger.save(), logger.finalize("success")))


def _show_texts(logger: Any, texts: Mapping[str, str], table: pd.DataFrame | None, step: int) -> None:
    shown = logger.experiment
    if hasattr(shown, "set_tag"):
        for name, text in texts.items():
            shown.set_tag(logger.run_id, name, text[:5000])
    elif hasattr(shown, "add_text"):
        tables = {} if table is None else {"ranking": _markdown(table.head(_ROWS))}
        for name, text in {**texts, **tables}.items():
            shown.add_text(name, text, step)


def _markdown(table: pd.DataFrame) -> str:
    rows: list[Any] = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    # Bars are part of architectures.
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def _show_files(logger: Any, figures: Mapping[str, Path], files: Sequence[Path], step: int) -> None:
    shown = logger.experiment
    if hasattr(shown, "log_artifact"):
        for path in files:
            shown.log_artifact(logger.run_id, str(path))
        for path in figures.values():
            shown.log_artifact(logger.run_id, str(path), "figures")
    elif hasattr(shown, "add_image"):
        import numpy as np
        from PIL import Image

        for name, path in figures.items():
            with Image.open(path) as image:
                shown.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")


def logged_run(folder: RunFolder, wandb: WandbConfig, job: str) -> LoggedRun:
    """Return what shows a search or a comparison; only under the folder's lock, since its id is made there."""
    group = wandb.group or f"{folder.name}-{folder.run_id()}"
    project = wandb.project or os.environ.get("WANDB_PROJECT") or "naswot-lightning"
    return LoggedRun(folder.path, project, group, f"{job} {folder.name}", f"{folder.run_id()}-{job}", job)


def wandb_of(config: SearchConfig | TrainConfig) -> WandbConfig:
    """Return the options of wandb; its mode is disabled where other loggers are named."""
    return config.wandb if "wandb" in parse_loggers(config.logger) else replace(config.wandb, mode="disabled")


def other_loggers(names: str, run: LoggedRun) -> list[SentOnce]:
    """Return the loggers of ``--logger`` but wandb's."""
    return [SentOnce(name, run) for name in parse_loggers(names) if name != "wandb"]
