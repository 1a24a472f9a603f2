"""metrics.csv: one row per epoch, without gaps or duplicates however often a run is interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from naswot_lightning.callbacks.base import Callback
from naswot_lightning.storage.files import write_csv


class MetricsTable(Callback):
    """Keeps the metrics of every epoch in the checkpoint and in a CSV file.

    Args:
        path: the file.
        announce: called with each new row.
    """

    def __init__(self, path: str | Path, announce: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, Any]] = []
        self._announce = announce
        self._start = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of the checkpoint."""
        self.rows = [dict(row) for row in state_dict.get("rows", [])]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, also where training continues inside an epoch."""
        self._start = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row of this epoch; after validation and the other callbacks' metrics."""
        row = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        when = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        self.rows.append({**when, **row, **when, "seconds": round(time.perf_counter() - self._start, 3)})
        if trainer.is_global_zero:
            names = list(dict.fromkeys(name for each in self.rows for name in each))
            write_csv(self.path, self.rows, names)
            if self._announce is not None:
                self._announce(self.rows[-1])
