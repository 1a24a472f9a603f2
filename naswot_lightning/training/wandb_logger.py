"""A wandb logger for runs that are interrupted and continued."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from naswot_lightning.storage.files import read_own, write_whole
from naswot_lightning.storage.records import parse_json


class SentOnceLogger(WandbLogger):
    """Sends each metric of each step once, however often the steps since a checkpoint are trained again.

    wandb cannot take back what it was sent, so the last step of every metric is kept in a file.

    Args:
        start: starts or continues the wandb run, and defines its metrics; called on rank zero only, and late.
        file: where the last steps are kept.
    """

    def __init__(self, start: Callable[[], Any], file: Path) -> None:
        super().__init__(log_model=False)
        self._start = start
        self._file = file
        self._sent = _read_sent(file)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The wandb run."""
        if self._experiment is None:
            self._experiment = self._start()
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send the metrics that are new at this step; ``epoch`` goes along with them."""
        if step is None:
            super().log_metrics(metrics, step)
            return
        new = {k: v for k, v in metrics.items() if k != "epoch" and step > self._sent.get(k, -1)}
        if not new:
            return
        axis = {"epoch": metrics["epoch"]} if "epoch" in metrics else {}
        super().log_metrics({**new, **axis}, step)
        self._sent.update(dict.fromkeys(new, step))
        write_whole(self._file, json.dumps(self._sent))


def _read_sent(file: Path) -> dict[str, int]:
    """Return the last step of every metric; none where the file is damaged: wandb is then sent some steps twice."""
    try:
        sent = parse_json(read_own(file))
    except (FileNotFoundError, ValueError):
        return {}
    steps = sent if isinstance(sent, dict) else {}
    return {name: step for name, step in steps.items() if isinstance(step, int)}
