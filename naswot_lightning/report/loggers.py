"""Loggers of Lightning by the names of ``--logger``: what wandb shows goes to each as far as it has a word for it."""

from __future__ import annotations

import csv
import importlib.util
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import UserError, reason_of
from naswot_lightning.registry import names_of, resolve
from naswot_lightning.storage.files import atomic_write, lock_folder
from naswot_lightning.storage.records import parse_json

if TYPE_CHECKING:
    import pandas as pd

    from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig

log = logging.getLogger(__name__)
_HERE = "naswot_lightning.report.lightning_loggers"
# The logger of wandb is made elsewhere; packages that are not installed by default are extras of ours.
LOGGERS = {"wandb": "", **{name: f"{_HERE}:{name}_logger" for name in ("csv", "tensorboard", "mlflow")}}
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
    """Return the names of ``--logger``, separated by ","; code of one's own must be trusted.

    Raises:
        UserError: an unknown name, or a package that is not installed.
    """
    names = list(dict.fromkeys(name for name in map(str.strip, text.split(",")) if name))
    if not names:
        raise UserError(f"--logger {text!r}: expected one or several of {', '.join(names_of('logger', LOGGERS))}")
    for name in names:
        if name in _EXTRAS and importlib.util.find_spec(name) is None:
            raise UserError(f"--logger {name}: not installed; pip install 'naswot-lightning[{name}]'")
        if name not in LOGGERS:
            resolve("logger", name, LOGGERS)
    return names


class SentOnce:
    """A logger that is sent each metric of each step once, and whose faults end neither a search nor a training.

    The last step of every metric is kept in a file, for a training that is killed and continued from an earlier step.
    """

    def __init__(self, name: str, run: LoggedRun) -> None:
        self._name, self._run = name, run
        self._file = run.folder / "loggers" / f"{name}-{run.id}.json"
        state: Any = None
        with suppress(OSError, ValueError):
            state = parse_json(self._file.read_bytes())
        self._state: dict[str, Any] = state if isinstance(state, dict) else {}
        self._inner: Any = None
        self._failed = False

    def call(self, use: Callable[[Any], object]) -> bool:
        """Use the logger, which is made by the first call; return whether that went well."""
        if self._failed:
            return False
        try:
            if self._inner is None:
                self._inner = self._make()
            use(self._inner)
        except Exception as error:  # noqa: BLE001 - of a server, of a user's own logger
            self._failed = True
            log.warning("--logger %s is sent nothing more of %s (%s)", self._name, self._run.name, reason_of(error))
        return not self._failed

    def _make(self) -> Any:
        make = resolve("logger", self._name, LOGGERS)
        self._run.folder.joinpath("loggers").mkdir(parents=True, exist_ok=True)
        if self._name != "mlflow":
            return make(self._run)
        # Of several that start together, one makes the experiment. A run is continued by the id that it was given.
        with lock_folder(self._run.folder / "loggers", 60.0):
            made = make(self._run, self._state.get("mlflow run"))
            self._state["mlflow run"] = made.run_id
        return made

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send the metrics that are new at this step; ``epoch`` goes along with them."""
        last = self._state.setdefault("steps", {})
        new = {name: value for name, value in metrics.items() if name != "epoch" and step > last.get(name, -1)}
        axis = {"epoch": metrics["epoch"]} if "epoch" in metrics else {}
        if new and self.call(lambda logger: logger.log_metrics({**new, **axis}, step)):
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


def wandb_of(config: SearchConfig | TrainConfig) -> WandbConfig:
    """Return the options of wandb; its mode is disabled where other loggers are named."""
    return config.wandb if "wandb" in parse_loggers(config.logger) else replace(config.wandb, mode="disabled")


def other_loggers(names: str, run: LoggedRun) -> list[SentOnce]:
    """Return the loggers of ``--logger`` but wandb's."""
    return [SentOnce(name, run) for name in parse_loggers(names) if name != "wandb"]


def read_csv_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a ``metrics.csv``, without empty cells; none where there is no such file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def mlflow_address(folder: Path) -> str:
    """Return ``MLFLOW_TRACKING_URI`` of the environment, else a file of the run folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
