"""The settings of the two commands: plain types, checked once, written to the run folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from naswot_lightning.errors import UserError

WandbMode = Literal["auto", "online", "offline", "disabled"]
Select = Literal["top", "spread"]


def _at_least(bound: float, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and value < bound:
            raise UserError(f"--{name} {value}: expected at least {bound}")


@dataclass
class WandbConfig:
    """Where runs are shown.

    Args:
        mode: auto is online where an API key is set and offline otherwise, and never asks.
        project: the wandb project.
        group: the group of the runs of one run folder; its own name by default.
    """

    mode: WandbMode = "auto"
    project: str = "naswot-lightning"
    group: str | None = None


@dataclass
class SearchConfig:
    """Rank untrained networks of a search space by their score.

    Args:
        space: the search space.
        dataset: where the mini-batch comes from: digits, imagefolder, cifar10, cifar10-valid, cifar100,
            imagenet16-120 or noise.
        data_dir: the folder of the data set.
        image_size: side of the images of an imagefolder; their own size by default.
        split_file: the official x-valid and x-test lists of cifar100 or imagenet16-120, for the training of the picks.
        samples: candidates to draw (N of Algorithm 1), or all of the space.
        architectures: a file with one architecture a line (or a CSV file with a column arch or architecture) to
            rank instead of sampling.
        max_params: score only networks with at most so many parameters.
        max_macs: score only networks with at most so many multiply-accumulates an image.
        batch_size: images in the mini-batch.
        probe_size: side to which the mini-batch is resized before scoring; its own size by default.
        score: the score to rank by: naswot, jacob_cov, grad_norm, snip, synflow, params, macs, rectified_units or
            random; several as columns (naswot,synflow), the first decides; joined by + for the mean of their ranks
            (jacob_cov+params).
        repeats: score each network with so many initializations, each on a mini-batch of its own; the ranking holds
            mean and standard deviation.
        algorithm: where candidates come from.
        seed: seeds the candidates, the mini-batch and the weights.
        canonical: score networks without their dead branches, equal networks once; false for the paper's count.
        precision: 32 or bf16 (autocast) for the forward pass.
        calibrate: instead of a search, measure what cheaper settings of naswot cost and how well they rank, on up to
            100 of the candidates, and recommend one.
        device: auto, cpu, cuda, cuda:1, ...
        top: how many of the ranking to print.
        select: which networks train.py picks: the top, or as many spread evenly over the ranking.
        run_dir: the folder of all results; the command continues what it finds there.
        overwrite: begin anew where run_dir was made with other settings.
        wandb: where runs are shown.
    """

    space: str = "nasbench201"
    dataset: str = "digits"
    data_dir: str = "data"
    image_size: int | None = None
    split_file: str | None = None
    samples: int | Literal["all"] = 1000
    architectures: str | None = None
    max_params: int | None = None
    max_macs: int | None = None
    batch_size: int = 128
    probe_size: int | None = None
    score: str = "naswot"
    repeats: int = 1
    algorithm: str = "random"
    seed: int = 0
    canonical: bool = True
    precision: Literal["32", "bf16"] = "32"
    calibrate: bool = False
    device: str = "auto"
    top: int = 10
    select: Select = "top"
    run_dir: str = "runs/search"
    overwrite: bool = False
    wandb: WandbConfig = field(default_factory=WandbConfig)

    def __post_init__(self) -> None:
        _at_least(2, batch_size=self.batch_size)
        _at_least(1, top=self.top, repeats=self.repeats, probe_size=self.probe_size, image_size=self.image_size)
        _at_least(0, seed=self.seed)
        _at_least(1, max_params=self.max_params, max_macs=self.max_macs)
        if self.samples != "all":
            _at_least(1, samples=self.samples)

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the scores: a run folder belongs to one set of them."""
        free = {"calibrate", "select", "data_dir", "split_file", "device", "top", "run_dir", "overwrite", "wandb"}
        return {name: value for name, value in asdict(self).items() if name not in free}


@dataclass
class TrainConfig:
    """Train the picks of a ranking, each in its own process, and compare them.

    Args:
        run_dir: the run folder of a search, or a new one with --architecture.
        top: how many of the ranking to train.
        select: the top of the ranking, or spread evenly over it; as the search said by default.
        architecture: one architecture to train instead of a ranking's picks.
        space: the search space of --architecture; that of the ranking by default.
        canonical: with --architecture, train the network without its dead branches; a ranking's own setting
            otherwise.
        dataset: the data set to train on; that of the ranking by default.
        data_dir: the folder of the data set; that of the ranking by default.
        image_size: side of the images of an imagefolder; that of the ranking by default.
        split_file: the official x-valid and x-test lists of cifar100 or imagenet16-120; that of the ranking by default.
        epochs: training epochs; the learning rate falls to zero over them.
        batch_size: images a training step.
        lr: initial learning rate.
        momentum: Nesterov momentum.
        weight_decay: L2 penalty of all parameters.
        seed: seeds the weights, the order of images and the augmentation; that of the ranking by default.
        early_points: score points in each of the first two epochs (left panel of Figure 6).
        probe_batch_size: images in the mini-batch of the trajectory; that of the ranking (128) by default.
        precision: a precision of Lightning's Trainer.
        trainer: any other argument of Lightning's Trainer, as --trainer.NAME VALUE.
        overwrite: train again picks whose results were made with other settings.
        wandb: where runs are shown.
    """

    run_dir: str = "runs/search"
    top: int = 3
    select: Select | None = None
    architecture: str | None = None
    space: str | None = None
    canonical: bool = True
    dataset: str | None = None
    data_dir: str | None = None
    image_size: int | None = None
    split_file: str | None = None
    epochs: int = 200
    batch_size: int = 256
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int | None = None
    early_points: int = 8
    probe_batch_size: int | None = None
    precision: str = "32-true"
    trainer: dict[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    wandb: WandbConfig = field(default_factory=WandbConfig)

    def __post_init__(self) -> None:
        _at_least(1, top=self.top, epochs=self.epochs, image_size=self.image_size)
        _at_least(2, batch_size=self.batch_size, probe_batch_size=self.probe_batch_size)
        _at_least(0, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
        _at_least(0, seed=self.seed, early_points=self.early_points)
