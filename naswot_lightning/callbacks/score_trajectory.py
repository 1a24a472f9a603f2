"""The score's trajectory during training (Figure 6)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import pytorch_lightning as pl
from torch import Tensor

from naswot_lightning.callbacks.base import Callback
from naswot_lightning.naswot import BatchNorm, Units, naswot_score
from naswot_lightning.naswot.naswot import expect_tensor
from naswot_lightning.registry import trust_named
from naswot_lightning.scores.registry import compute_scores, probe_of, require_labels
from naswot_lightning.storage.files import write_csv

COLUMNS = ("step", "epoch", "score", "status")
# The column of the second score, after these.
RUNNING = "score_running"
_FILE = "trajectory.csv"
Modes = Literal["batch", "running", "both"]
# The left panel of Figure 6.
_EARLY_EPOCHS = 2

log = logging.getLogger(__name__)


class ScoreTrajectory(Callback):
    """Scores the network that is being trained, always on the same mini-batch.

    Points: the untrained network, several inside each of the first two epochs, then the end of every epoch. Each
    goes to all loggers under ``name`` beside the fractional ``epoch`` (wandb's x axis), and to a CSV file; the end
    of an epoch can also be monitored by other callbacks. Training is not changed: weights, BatchNorm statistics
    and generators are those of a run without the callback, to the last bit.

    Args:
        images: (N, ...) as the LightningModule's forward takes them, N >= 2.
        early_points: points in each of the first two epochs, the end of the epoch among them.
        every_n_epochs: distance of the points at ends of epochs.
        csv_path: the file; by default ``trajectory.csv`` in the Trainer's default_root_dir, or ``trajectory-v1.csv``
            and so on where another training wrote that.
        name: of the logged metric of the first score; ``score/<score>`` by default, as of the others.
        batch_norm: the statistics that BatchNorm uses for the score: "batch" for those of the images, as in a search,
            "running" for the running averages, as in evaluation. "both" takes both scores: the second, with the
            running averages, is in a column ``score_running`` and logged under ``name`` with ``_running``.
        scores: names of scores. The first is the column ``score``; each other has a column of its name.
        labels: (N,) class indices, for scores that look at a loss.
        num_classes: outputs of the network; by default as many as it returns for two of the images.
        units: that scores of codes count, as :func:`~naswot_lightning.naswot_score` has it: "auto" for a network
            without rectifiers.

    Raises:
        TypeError: the images are not a tensor.
        ValueError: fewer than two images, a count below its minimum, an unknown ``batch_norm`` or score, a mode of
            BatchNorm for a score other than naswot, or a score that needs labels where there are none.
    """

    def __init__(
        self,
        images: Tensor,
        early_points: int = 8,
        every_n_epochs: int = 1,
        csv_path: str | Path | None = None,
        name: str | None = None,
        batch_norm: Modes = "batch",
        scores: Sequence[str] = ("naswot",),
        labels: Tensor | None = None,
        num_classes: int | None = None,
        units: Units = "rectifiers",
    ) -> None:
        expect_tensor(images)
        if images.dim() == 0 or images.shape[0] < 2:
            raise ValueError(f"images of shape {tuple(images.shape)}: expected (N, ...) with N >= 2")
        if early_points < 0 or every_n_epochs < 1:
            raise ValueError(f"early_points {early_points}, every_n_epochs {every_n_epochs}: expected at least 0 and 1")
        if batch_norm not in get_args(Modes):
            raise ValueError(f"batch_norm {batch_norm!r}: expected one of {', '.join(get_args(Modes))}")
        if isinstance(scores, str) or not scores or len(set(scores)) < len(scores):
            raise ValueError(f"scores {scores!r}: expected a list of different names, such as ['naswot', 'synflow']")
        if batch_norm != "batch" and list(scores) != ["naswot"]:
            raise ValueError(f"batch_norm {batch_norm!r} is for naswot alone, not {', '.join(scores)}")
        trust_named({"score": list(scores)})
        require_labels(scores, labels)
        self.images = images
        self.labels = labels
        self.num_classes = num_classes
        self.scores = tuple(scores)
        self.early_points = early_points
        self.every_n_epochs = every_n_epochs
        self.csv_path = None if csv_path is None else Path(csv_path)
        self.name = name or f"score/{self.scores[0]}"
        self.batch_norm = batch_norm
        self.units: Units = units
        self.rows: list[dict[str, Any]] = []
        self._max_epochs: int | None = None
        self._own_file: str | None = None

    @property
    def state_key(self) -> str:
        """Distinguishes several trajectories in one Trainer."""
        return f"{type(self).__qualname__}[{self.name}]"

    def state_dict(self) -> dict[str, Any]:
        """Return the points so far, so that a resumed run continues them."""
        named = {"file": self._own_file} if self._own_file else {}
        return {"rows": [dict(row) for row in self.rows], **named}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the points of the checkpoint."""
        self.rows = [dict(row) for row in state_dict.get("rows", [])]
        # No path: a checkpoint may be somebody else's.
        self._own_file = Path(state_dict["file"]).name if state_dict.get("file") else None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note the last epoch: StochasticWeightAveraging later adds one, for BatchNorm's statistics alone."""
        self._max_epochs = trainer.max_epochs

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the untrained network, unless training is being continued."""
        if trainer.global_step == 0:
            self.rows = []
        if self.csv_path is None and (not self.rows or self._own_file is None) and trainer.is_global_zero:
            self._own_file = _free_name(Path(trainer.default_root_dir), is_continued=bool(self.rows))
        # Loggers of wandb are known by their method: lightning.pytorch has a WandbLogger of its own.
        for logger in trainer.loggers if trainer.is_global_zero else []:
            define_metric = getattr(getattr(logger, "experiment", None), "define_metric", None)
            if define_metric is not None:
                define_metric("epoch")
                # By exact name: wandb resolves competing patterns in random order.
                for name in self._columns():
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
        measured = self._measure(pl_module)
        if trainer.world_size > 1 and (self.batch_norm != "batch" or self.scores != ("naswot",)):
            measured = trainer.strategy.broadcast(measured)
        finite = {name: score for name, score in measured.items() if math.isfinite(score)}
        # The status is that of the first score; each other has a column of its own.
        first, *others = self._columns().items()
        score = measured[first[0]]
        status = "ok" if first[0] in finite else "failed" if math.isnan(score) else "degenerate"
        row: dict[str, Any] = {
            "step": trainer.global_step,
            "epoch": epoch,
            first[1]: finite.get(first[0]),
            "status": status,
            **{column: finite.get(name) for name, column in others},
        }
        self.rows.append(row)
        if trainer.is_global_zero:
            for logger in trainer.loggers if finite else []:
                logger.log_metrics({**finite, "epoch": epoch}, step=trainer.global_step)
            path = self.csv_path or Path(trainer.default_root_dir) / (self._own_file or _FILE)
            write_csv(path, self.rows, (*COLUMNS, *(column for _, column in others)))
        return measured

    def _measure(self, pl_module: pl.LightningModule) -> dict[str, float]:
        """Return the scores of now by the names under which they are logged.

        Every process computes them, so that none waits for another. naswot with statistics of the mini-batch is the
        same for all, since they hold the same weights. Running averages are each process's own, and sums of gradients
        may differ in their last bits: those of rank 0 count.
        """
        # Indices of words, say, stay whole numbers.
        dtype = pl_module.dtype if self.images.is_floating_point() else self.images.dtype
        self.images = self.images.to(pl_module.device, dtype)  # type: ignore[arg-type]
        if self.scores == ("naswot",):
            modes: tuple[BatchNorm, ...] = ("batch", "running") if self.batch_norm == "both" else (self.batch_norm,)
            values = [naswot_score(pl_module, self.images, batch_norm=mode, units=self.units) for mode in modes]
        else:
            probe = probe_of(pl_module, self.images, self.labels, self.scores, self.num_classes)
            self.num_classes = probe.num_classes
            values = list(compute_scores(pl_module, probe, self.scores, self.units).values())
        return dict(zip(self._columns(), values, strict=True))

    def _columns(self) -> dict[str, str]:
        """Return the columns of the file by the names of the logged metrics."""
        running = {f"{self.name}_running": RUNNING} if self.batch_norm == "both" else {}
        return {self.name: "score", **running, **{f"score/{score}": score for score in self.scores[1:]}}


def _free_name(folder: Path, is_continued: bool) -> str:
    """Return the name of a file that no other training wrote."""
    name, number = _FILE, 0
    while not is_continued and (folder / name).exists():
        number += 1
        name = f"{Path(_FILE).stem}-v{number}.csv"
    if number:
        log.warning("%s is of another training: the points are written to %s", folder / _FILE, name)
    return name
