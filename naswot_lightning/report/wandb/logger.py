"""A wandb logger for runs that are interrupted and continued."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from naswot_lightning.errors import reason_of
from naswot_lightning.storage.files import atomic_write
from naswot_lightning.storage.records import parse_json

log = logging.getLogger(__name__)


class SentOnceLogger(WandbLogger):
    """Sends each metric of each step once, however often the steps since a checkpoint are trained again.

    wandb cannot take back what it was sent, so the last step of every metric is kept in a file. ``start`` starts or
    continues the wandb run, and defines its metrics; it is called on rank zero only, and late.
    """

    def __init__(self, start: Callable[[], Any], file: Path) -> None:
        super().__init__(log_model=False)
        self._start: Callable[[], Any] | None = start
        self._file = file
        # The last step of every metric; where the file is damaged, wandb is sent some steps twice.
        sent: Any = None
        with suppress(FileNotFoundError, ValueError):
            sent = parse_json(file.read_bytes())
        steps = sent if isinstance(sent, dict) else {}
        self._sent = {name: step for name, step in steps.items() if isinstance(step, int)}

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The wandb run; None where it could not start, which is said once."""
        if self._start is not None:
            start, self._start = self._start, None
            self._experiment = start()
        return self._experiment

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Add them to the run's config."""
        if self.experiment is not None:
            super().log_hyperparams(params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send the metrics that are new at this step; ``epoch`` goes along with them."""
        new = {k: v for k, v in metrics.items() if step is None or (k != "epoch" and step > self._sent.get(k, -1))}
        if not new or self.experiment is None:
            return
        axis = {"epoch": metrics["epoch"]} if "epoch" in metrics else {}
        try:
            super().log_metrics({**new, **axis}, step)
        except Exception as error:  # noqa: BLE001 - wandb's service may be killed; the training goes on
            log.warning("wandb is sent nothing more of this training (%s)", reason_of(error))
            self._experiment = None
            return
        if step is not None:
            self._sent.update(dict.fromkeys(new, step))
            atomic_write(self._file, json.dumps(self._sent))
