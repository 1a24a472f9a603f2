"""A training epoch of a pick against a bare loop of PyTorch that does the same arithmetic."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from bench.clock import Rows
from bench.data import BATCH, random_dataset
from naswot_lightning.callbacks import MetricsTable, SaveOnSignal, ScoreTrajectory, StopOnDivergence
from naswot_lightning.data.augmentation import draw_placements, placed
from naswot_lightning.data.dataset import Dataset
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.spaces import get_space
from naswot_lightning.training.classifier import ImageClassifier
from naswot_lightning.training.settings import PickRun, PickSettings, SavedPick, resolve_recipe
from naswot_lightning.training.trainer import best_and_last, make_classifier, make_trainer, silence_lightning

# A small one of NDS on CIFAR's size, and one 1x1 convolution a cell of NAS-Bench-201 on that of the digits.
NETWORKS = (
    ("nds_vanilla", "ds=1,1,1;ws=16,16,16;ss=1,2,2", 32),
    ("nasbench201", "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|", 16),
)
STEPS, WARM_UP, EPOCHS = 98, 1, 3  # the steps of cifar10-valid: 25,000 images
_RECIPE = resolve_recipe("nasbench201-200", {"epochs": WARM_UP + EPOCHS, "batch_size": BATCH}, has_parts=False)


def _pick(space: str, architecture: str) -> SavedPick:
    network = get_space(space).canonical(architecture)
    settings = PickSettings(
        rank=None, architecture=architecture, canonical=network, score=None, space=space, dataset="cifar10",
        data_dir="", image_size=None, split_file=None, split=None, recipe="nasbench201-200", values=_RECIPE, seed=0,
        early_points=0, probe_seed=0, probe_batch_size=BATCH, probe_split="train",
        score_batch_norm="batch", precision="32-true", compile=False, deterministic=False,
        accelerator="auto", devices=1, strategy="auto", trainer={"enable_progress_bar": False},
    )  # fmt: skip
    return SavedPick(settings, PickRun("disabled", "", "", "", "bench"))


class BareLoop:
    """Network, loss, SGD, cosine, gathering and augmentation of a pick, and nothing else."""

    def __init__(self, model: ImageClassifier, dataset: Dataset) -> None:
        self._split = dataset.train
        self._treatment = (dataset.flip, dataset.crop_padding, torch.Generator().manual_seed(0))
        self._statistics = (torch.tensor(dataset.mean), torch.tensor(dataset.std))
        self._network = model.network
        self._optimizer = torch.optim.SGD(
            model.network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
        )
        self._scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, T_max=STEPS * (WARM_UP + EPOCHS))

    def train_epoch(self) -> None:
        """Train on every image once."""
        self._network.train()
        for chosen in torch.randperm(len(self._split)).split(BATCH):
            images = self._split.images.index_select(0, chosen)
            placements = draw_placements(len(images), *self._treatment)
            logits = self._network(placed(images, placements, *self._statistics))
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


class ClockedTrajectory(ScoreTrajectory):
    """Takes the time of the score at the end of an epoch, which the bare loop has no equal of."""

    seconds: ClassVar[list[float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score."""
        start = time.perf_counter()
        super().on_train_epoch_end(trainer, pl_module)
        self.seconds.append(time.perf_counter() - start)


def training_rows() -> Rows:
    """Compare whole epochs of a pick, as ``train.py`` sets it up without wandb, with the bare loop."""
    silence_lightning()
    return [row for network in NETWORKS for row in _epoch_rows(*network)]


def _epoch_rows(space: str, architecture: str, size: int) -> Rows:
    pick = _pick(space, architecture)
    dataset = random_dataset(STEPS * BATCH, 1, size)
    data = ImageDataModule("cifar10", "", BATCH, dataset=dataset)
    clock = Alternation(BareLoop(make_classifier(pick, data), dataset))
    # Without the extra points of the first two epochs: all epochs are then like the later ones.
    trajectory = ClockedTrajectory(data.probe(128, 0).images, early_points=0)
    with tempfile.TemporaryDirectory() as name:
        table = MetricsTable(Path(name) / "metrics.csv")
        callbacks = [StopOnDivergence(), clock, trajectory, table, *best_and_last(Path(name), None)]
        trainer = make_trainer(Path(name), pick, [*callbacks, SaveOnSignal(Path(name) / "last.ckpt")], "auto")
        trainer.fit(make_classifier(pick, data), data)
    return _compared(f"{space}, {size}x{size}", clock, trajectory.seconds[-EPOCHS:])


def _compared(name: str, clock: Alternation, score: list[float]) -> Rows:
    ours, theirs = clock.trainer_seconds[WARM_UP:], clock.bare_seconds[WARM_UP:]
    whole = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    without = statistics.median((a - s) / b for a, b, s in zip(ours, theirs, score, strict=True))
    epoch = statistics.median(theirs)
    return [
        (f"{name}: bare loop, {STEPS} steps of {1e3 * epoch / STEPS:.0f} ms", f"{epoch:.2f} s", "1"),
        ("a pick, with metrics and checkpoints", f"{without * epoch:.2f} s", f"{without:.3f} x"),
        ("and the score of the epoch's end", f"{whole * epoch:.2f} s", f"{whole:.3f} x"),
    ]
