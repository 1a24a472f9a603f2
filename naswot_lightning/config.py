"""The settings of the two commands: plain types, checked once, written to the run folder."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from naswot_lightning.errors import UserError

WandbMode = Literal["auto", "online", "offline", "disabled"]
Select = Literal["top", "spread"]


def _at_least(bound: float, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and value < bound:
            raise UserError(f"--{name} {value}: expected at least {bound}")


def _share(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not 0 <= value < 1:
            raise UserError(f"--{name} {value}: expected at least 0 and less than 1")


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
        workers: processes that score side by side, one thread each; by default one a core where a search on the CPU
            would take longer than half a minute.
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
    workers: int | None = None
    top: int = 10
    select: Select = "top"
    run_dir: str = "runs/search"
    overwrite: bool = False
    wandb: WandbConfig = field(default_factory=WandbConfig)

    def __post_init__(self) -> None:
        _at_least(2, batch_size=self.batch_size)
        _at_least(1, top=self.top, repeats=self.repeats, probe_size=self.probe_size, image_size=self.image_size)
        _at_least(1, workers=self.workers)
        _at_least(0, seed=self.seed)
        _at_least(1, max_params=self.max_params, max_macs=self.max_macs)
        if self.samples != "all":
            _at_least(1, samples=self.samples)

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the scores: a run folder belongs to one set of them."""
        free = {
            "calibrate",
            "select",
            "data_dir",
            "split_file",
            "device",
            "workers",
            "top",
            "run_dir",
            "overwrite",
            "wandb",
        }
        return {name: value for name, value in asdict(self).items() if name not in free}


@dataclass
class TrainConfig:
    """Train the picks of a ranking, each in its own process, and compare them.

    Args:
        run_dir: the run folder of a search, or a new one with --architecture.
        top: how many of the ranking to train.
        select: the top of the ranking, or spread evenly over it; as the search said by default.
        picks: instead of --top and --select: all of the ranking, or ranks such as 1,5,10-12.
        architecture: one architecture to train instead of a ranking's picks.
        space: the search space of --architecture; that of the ranking by default.
        canonical: with --architecture, train the network without its dead branches; a ranking's own setting
            otherwise.
        dataset: the data set to train on; that of the ranking by default.
        data_dir: the folder of the data set; that of the ranking by default.
        image_size: side of the images of an imagefolder; that of the ranking by default.
        split_file: the official x-valid and x-test lists of cifar100 or imagenet16-120; that of the ranking by default.
        recipe: how a benchmark trains its networks (nasbench201-200, nasbench201-12, nats-size-90, nasbench101-108 or
            nds-100); the options from --epochs to --drop_path override it.
        epochs: training epochs; the learning rate falls to zero over them.
        batch_size: images a training step, of all devices together.
        optimizer: sgd (Nesterov) or rmsprop.
        lr: initial learning rate.
        momentum: of the optimizer.
        weight_decay: L2 penalty of all parameters.
        label_smoothing: share of the target spread over all classes.
        gradient_clip: largest norm of the gradient.
        auxiliary_weight: weight of the loss of an auxiliary head (cell spaces nds_*); 0 for no head.
        drop_path: probability of drop path (cell spaces nds_*), growing from 0 over the epochs.
        seed: seeds the weights, the order of images and the augmentation; that of the ranking by default.
        seeds: several seeds, such as 777,888,999: each pick is trained with each, and the comparison has their mean and
            standard deviation.
        early_points: score points in each of the first two epochs (left panel of Figure 6).
        probe_batch_size: images in the mini-batch of the trajectory; that of the ranking (128) by default.
        precision: a precision of Lightning's Trainer, such as 32-true, bf16-mixed or 16-mixed.
        compile: train through torch.compile.
        deterministic: refuse operations whose result is not the same each time.
        accelerator: auto, cpu, gpu, ...
        devices: how many devices train one pick together.
        strategy: of Lightning's Trainer, such as ddp.
        trainer: any other argument of Lightning's Trainer, as --trainer.NAME VALUE.
        overwrite: train again picks whose results were made with other settings.
        wandb: where runs are shown.
    """

    run_dir: str = "runs/search"
    top: int = 3
    select: Select | None = None
    picks: str | int | None = None
    architecture: str | None = None
    space: str | None = None
    canonical: bool = True
    dataset: str | None = None
    data_dir: str | None = None
    image_size: int | None = None
    split_file: str | None = None
    recipe: str = "nasbench201-200"
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: Literal["sgd", "rmsprop"] | None = None
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    label_smoothing: float | None = None
    gradient_clip: float | None = None
    auxiliary_weight: float | None = None
    drop_path: float | None = None
    seed: int | None = None
    seeds: str | int | list[int] | None = None
    early_points: int = 8
    probe_batch_size: int | None = None
    precision: str = "32-true"
    compile: bool = False
    deterministic: bool = False
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    trainer: dict[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    wandb: WandbConfig = field(default_factory=WandbConfig)

    def __post_init__(self) -> None:
        for name in ("accelerator", "devices", "strategy", "deterministic"):
            if name in self.trainer:  # the same by Lightning's name
                self.trainer = dict(self.trainer)
                setattr(self, name, self.trainer.pop(name))
        if not isinstance(self.devices, int):
            raise UserError(f"--devices {self.devices}: expected the number of devices that train one pick together")
        _at_least(1, top=self.top, epochs=self.epochs, image_size=self.image_size, devices=self.devices)
        _at_least(2, batch_size=self.batch_size, probe_batch_size=self.probe_batch_size)
        _at_least(0, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
        _at_least(0, seed=self.seed, early_points=self.early_points, auxiliary_weight=self.auxiliary_weight)
        _at_least(0, gradient_clip=self.gradient_clip)
        _share(label_smoothing=self.label_smoothing, drop_path=self.drop_path)
        self.all_seeds()

    def all_seeds(self) -> list[int]:
        """Return the numbers of ``seeds``; empty where it is not given.

        Raises:
            UserError: it holds anything but different whole numbers from 0.
        """
        if self.seeds is None:
            return []
        words = (
            [str(word).strip() for word in self.seeds] if isinstance(self.seeds, list) else str(self.seeds).split(",")
        )
        if not all(re.fullmatch(r"\d{1,18}", word.strip(), re.ASCII) for word in words) or len(set(words)) < len(words):
            raise UserError(f"--seeds {self.seeds}: expected different whole numbers from 0, such as 777,888,999")
        if self.seed is not None:
            raise UserError(f"--seed {self.seed} and --seeds {self.seeds}: give one of them")
        return [int(word) for word in words]
