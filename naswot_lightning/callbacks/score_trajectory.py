"""The score's trajectory during training (Figure 6)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, get_args

import pytorch_lightning as pl
from torch import Tensor

from naswot_lightning.naswot import BatchNorm, naswot_score
from naswot_lightning.naswot.naswot import expect_tensor
from naswot_lightning.storage.files import write_csv

COLUMNS = ("step", "epoch", "score", "status")
# The column of the second score, after these.
RUNNING = "score_running"
Modes = Literal["batch", "running", "both"]
# The left panel of Figure 6.
_EARLY_EPOCHS = 2


class ScoreTrajectory(pl.Callback):
    """Scores the network that is being trained, always on the same mini-batch.

    Points: the untrained network, several inside each of the first two epochs, then the end of every epoch. Each
    goes to all loggers under ``name`` beside the fractional ``epoch`` (wandb's x axis), and to a CSV file; the end
    of an epoch can also be monitored by other callbacks. Training is not changed: weights, BatchNorm statistics
    and generators are those of a run without the callback, to the last bit.

    Args:
        images: (N, C, H, W) as the LightningModule's forward takes them, N >= 2.
        early_points: points in each of the first two epochs, the end of the epoch among them.
        every_n_epochs: distance of the points at ends of epochs.
        csv_path: the file; ``trajectory.csv`` in the Trainer's default_root_dir by default.
        name: of the logged metric.
        batch_norm: the statistics that BatchNorm uses for the score: "batch" for those of the images, as in a search,
            "running" for the running averages, as in evaluation. "both" takes both scores: the second, with the
            running averages, is in a column ``score_running`` and logged under ``name`` with ``_running``.

    Raises:
        TypeError: the images are not a tensor.
        ValueError: fewer than two images, a count below its minimum, or an unknown ``batch_norm``.
    """

    def __init__(
        self,
        images: Tensor,
        early_points: int = 8,
        every_n_epochs: int = 1,
        csv_path: str | Path | None = None,
        name: str = "score/naswot",
        batch_norm: Modes = "batch",
    ) -> None:
        expect_tensor(images)
        if images.dim() != 4 or images.shape[0] < 2:
            raise ValueError(f"images of shape {tuple(images.shape)}: expected (N, C, H, W) with N >= 2")
        if early_points < 0 or every_n_epochs < 1:
            raise ValueError(f"early_points {early_points}, every_n_epochs {every_n_epochs}: expected at least 0 and 1")
        if batch_norm not in get_args(Modes):
            raise ValueError(f"batch_norm {batch_norm!r}: expected one of {', '.join(get_args(Modes))}")
        self.images = images
        self.early_points = early_points
        self.every_n_epochs = every_n_epochs
        self.csv_path = None if csv_path is None else Path(csv_path)
        self.name = name
        self.batch_norm = batch_norm
        self.rows: list[dict[str, Any]] = []
        self._max_epochs: int | None = None

    @property
    def state_key(self) -> str:
        """Distinguishes several trajectories in one Trainer."""
        return f"{type(self).__qualname__}[{self.name}]"

    def state_dict(self) -> dict[str, Any]:
        """Return the points so far, so that a resumed run continues them."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the points of the checkpoint."""
        self.rows = [dict(row) for row in state_dict.get("rows", [])]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note the last epoch: StochasticWeightAveraging later adds one, for BatchNorm's statistics alone."""
        self._max_epochs = trainer.max_epochs

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the untrained network, unless training is being continued."""
        if trainer.global_step == 0:
            self.rows = []
        # Loggers of wandb are known by their method: lightning.pytorch has a WandbLogger of its own.
        for logger in trainer.loggers if trainer.is_global_zero else []:
            define_metric = getattr(getattr(logger, "experiment", None), "define_metric", None)
            if define_metric is not None:
                define_metric("epoch")
                # By exact name: wandb resolves competing patterns in random order.
                for name in self._modes():
                    define_metric(name, step_metric="epoch")
        if not self.rows:
            self._score(trainer, pl_module, epoch=float(trainer.current_epoch))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Score inside the first two epochs."""
        batches = trainer.num_training_batches
        if trainer.current_epoch >= _EARLY_EPOCHS or self.early_points == 0 or math.isinf(batches):
            return
        inside = {round(batches * point / self.early_points) for point in range(1, self.early_points)}
        if batch_idx + 1 in inside - {batches}:
            self._score(trainer, pl_module, trainer.current_epoch + (batch_idx + 1) / batches)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score at the end of an epoch."""
        epoch = trainer.current_epoch + 1
        is_added = self._max_epochs not in (None, -1) and epoch > self._max_epochs
        if epoch % self.every_n_epochs == 0 and not is_added:
            scores = self._score(trainer, pl_module, float(epoch))
            # For those that monitor it; loggers have it already.
            pl_module.log_dict(scores, logger=False)

    def _score(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: float) -> dict[str, float]:
        """Add a point; return its scores by the names under which they are logged."""
        self.images = self.images.to(pl_module.device, pl_module.dtype)  # type: ignore[arg-type]
        modes = self._modes()
        # Every process computes the scores, so that none waits for another. With statistics of the mini-batch all get
        # the same, since they hold the same weights. Running averages are each process's own: those of rank 0 count.
        scores = {name: naswot_score(pl_module, self.images, batch_norm=mode) for name, mode in modes.items()}
        if trainer.world_size > 1 and "running" in modes.values():
            scores = trainer.strategy.broadcast(scores)
        finite = {name: score for name, score in scores.items() if math.isfinite(score)}
        # The status is that of the first score; a second has a column of its own.
        first, *second = scores
        status = "ok" if first in finite else "failed" if math.isnan(scores[first]) else "degenerate"
        row: dict[str, Any] = {
            "step": trainer.global_step,
            "epoch": epoch,
            "score": finite.get(first),
            "status": status,
        }
        if second:
            row[RUNNING] = finite.get(second[0])
        self.rows.append(row)
        if trainer.is_global_zero:
            for logger in trainer.loggers if finite else []:
                logger.log_metrics({**finite, "epoch": epoch}, step=trainer.global_step)
            columns = (*COLUMNS, RUNNING) if self.batch_norm == "both" else COLUMNS
            write_csv(self.csv_path or Path(trainer.default_root_dir) / "trajectory.csv", self.rows, columns)
        return scores

    def _modes(self) -> dict[str, BatchNorm]:
        """Return the BatchNorm modes by the names of the logged metrics, that of the column ``score`` first."""
        if self.batch_norm == "both":
            return {self.name: "batch", f"{self.name}_running": "running"}
        return {self.name: self.batch_norm}
