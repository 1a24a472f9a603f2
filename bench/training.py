"""A training epoch of a pick against a bare loop of PyTorch that does the same arithmetic."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from bench.clock import Rows
from bench.data import BATCH, random_dataset
from callbacks import MetricsTable, ScoreTrajectory, StopOnDivergence
from naswot_lightning import pick
from naswot_lightning.checkpoints import best_and_last
from naswot_lightning.classifier import ImageClassifier
from naswot_lightning.data.augmentation import augmented
from naswot_lightning.data.dataset import Dataset
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.recipes import resolve_recipe
from spaces import get_space

# One 1x1 convolution in each cell: of the smallest networks of NAS-Bench-201.
ARCHITECTURE = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
WARM_UP, EPOCHS = 1, 4
_SPACE = get_space("nasbench201")
_SETTINGS: dict[str, Any] = {
    "space": "nasbench201",
    "canonical": _SPACE.canonical(ARCHITECTURE),
    **resolve_recipe("nasbench201-200", {"epochs": WARM_UP + EPOCHS, "batch_size": BATCH}, has_parts=False),
    "compile": False,
    "precision": "32-true",
    "deterministic": False,
    "accelerator": "auto",
    "devices": 1,
    "accumulate": 1,
    "seed": 0,
    "trainer": {"enable_progress_bar": False},
    "wandb": {"mode": "disabled", "project": "", "group": None, "name": "bench"},
}


class BareLoop:
    """Network, loss, SGD, cosine, gathering and augmentation of a pick, and nothing else."""

    def __init__(self, model: ImageClassifier, dataset: Dataset, steps: int) -> None:
        self._split = dataset.train
        self._treatment = (dataset.flip, dataset.crop_padding, torch.Generator().manual_seed(0))
        self._statistics = (torch.tensor(dataset.mean), torch.tensor(dataset.std))
        self._network = model.network
        self._optimizer = torch.optim.SGD(
            model.network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
        )
        self._scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, T_max=steps)

    def train_epoch(self) -> None:
        """Train on every image once."""
        self._network.train()
        for chosen in torch.randperm(len(self._split)).split(BATCH):
            images = self._split.images.index_select(0, chosen)
            logits = self._network(augmented(images, *self._treatment, *self._statistics))
            loss = F.cross_entropy(logits, self._split.labels.index_select(0, chosen))
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self._scheduler.step()


class Alternation(pl.Callback):
    """Runs an epoch of the bare loop before each of the Trainer's, and takes the time of both.

    An epoch of the Trainer lasts from the end of the bare one before it to its next beginning: with metrics, score,
    checkpoints and all.
    """

    def __init__(self, bare: BareLoop) -> None:
        self._bare = bare
        self._begun = 0.0
        self.bare_seconds: list[float] = []
        self.trainer_seconds: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Run and time the bare epoch."""
        start = time.perf_counter()
        if self._begun:
            self.trainer_seconds.append(start - self._begun)
        self._bare.train_epoch()
        self._begun = time.perf_counter()
        self.bare_seconds.append(self._begun - start)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the time of the last epoch."""
        self.trainer_seconds.append(time.perf_counter() - self._begun)


def training_rows() -> Rows:
    """Compare whole epochs of a pick, as ``train.py`` sets it up without wandb, with the bare loop."""
    pick._quieten()
    return [row for size, steps in ((32, 20), (16, 60)) for row in _epoch_rows(size, steps)]


def _epoch_rows(size: int, steps: int) -> Rows:
    dataset = random_dataset(steps * BATCH, 1, size)
    data = ImageDataModule("cifar10", "", BATCH, dataset=dataset)
    bare = BareLoop(pick._classifier(_SETTINGS, data), dataset, steps * (WARM_UP + EPOCHS))
    clock = Alternation(bare)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = MetricsTable(folder / "metrics.csv")
        # Without the extra points of the first two epochs: all epochs are then like the later ones.
        trajectory = ScoreTrajectory(data.probe(128, 0).images, early_points=0, csv_path=folder / "trajectory.csv")
        callbacks = [StopOnDivergence(), clock, trajectory, table, *best_and_last(folder, None)]
        trainer = pick._trainer(folder, _SETTINGS, callbacks, "auto")
        trainer.fit(pick._classifier(_SETTINGS, data), data)
    ours, theirs = clock.trainer_seconds[WARM_UP:], clock.bare_seconds[WARM_UP:]
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    step = 1e3 * statistics.median(theirs) / steps
    return [
        (f"{size}x{size}, bare loop: {steps} steps of {step:.0f} ms", f"{statistics.median(theirs):.2f} s", "1"),
        (f"{size}x{size}, a pick: metrics, score, checkpoints", f"{statistics.median(ours):.2f} s", f"{ratio:.3f} x"),
    ]
