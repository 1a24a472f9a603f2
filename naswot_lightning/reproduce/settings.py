"""The options of ``naswot reproduce``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from naswot_lightning.data import DATASETS
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.scores import SCORES

# Of 1,000 architectures each: 80 MB of draws.
_MOST_RUNS = 10_000


def _within(least: float, most: float, default: Any) -> Any:
    return field(default=default, metadata={"bounds": (least, most)})


@dataclass
class Scoring:
    """Tables of known accuracies, and how their architectures are scored."""

    benchmark: list[str] = field(default_factory=list)
    """One or more tables of known accuracies (made by naswot benchmarks convert)."""
    space: str | None = None
    """The search space of the architectures of a CSV file, if it cannot be told from them; or another variant of the
    table's space, in which networks are scored. Default for NAS-Bench-101: nasbench101_16, as in the paper."""
    dataset: list[str] = field(default_factory=lambda: ["cifar10"])
    """The data sets of the probe batches: {datasets} or noise. With several, each is used for its own accuracies, and
    the first one for all other accuracies."""
    data_dir: str = "data"
    """The folder of the data sets."""
    image_size: int | None = None
    """Resize the images of an imagefolder to this side in pixels. Default: keep their size."""
    batch_size: int = _within(2, 10_000, 128)
    """Number of images in the probe batch."""
    seed: int = _within(0, 2**32 - 1, 0)
    """Seed of the drawn architectures, the probe batch and the weights."""
    canonical: bool = True
    """Remove dead branches before scoring, and score equal networks once. With false, networks are scored as written,
    as in the paper."""
    device: str = "auto"
    """The device to score on: auto, cpu, cuda, cuda:1, ..."""
    workers: int | None = None
    """Number of worker processes. Default: as in naswot search."""
    out: str = "runs/reproduce"
    """The folder for the tables and figures, and for the scores, which later commands reuse."""
    overwrite: bool = False
    """Score again if the scores in --out were made with different settings."""

    def __post_init__(self) -> None:
        if not self.benchmark:
            raise UserError(
                "--benchmark is missing: give a table of known accuracies, such as --benchmark NAS-Bench-201.npz"
            )
        if not self.dataset:
            raise UserError("--dataset: give the data set of the probe batches, such as --dataset cifar10")
        for name in self.dataset:
            expect_name("dataset", name, [*DATASETS, "noise"])
        for name in getattr(self, "scores", ()):
            expect_name("score", name, SCORES)
        for each in fields(self):
            least, most = each.metadata.get("bounds", (-math.inf, math.inf))
            value = getattr(self, each.name)
            for number in value if isinstance(value, list) else [value]:
                if isinstance(number, int | float) and not least <= number <= most:
                    raise UserError(f"--{each.name} {number}: expected {least:g} to {most:,g}")


@dataclass
class TableSettings(Scoring):
    """Table 2: the accuracy of the architectures that searches pick, next to the published numbers."""

    runs: int = _within(1, _MOST_RUNS, 500)
    """Number of searches by score; each draws N architectures and picks the one with the best score."""
    searches: int = _within(1, _MOST_RUNS, 50)
    """Number of searches by accuracy with each of REA, AREA, REINFORCE and BOHB."""
    budget: float = _within(1, 1e9, 12_000.0)
    """Seconds of training, as recorded in the table, after which a search by accuracy ends."""
    evaluations: int | None = _within(1, _MOST_RUNS, None)
    """Trainings after which a search by accuracy ends if the table has no seconds. Default: leave these searches
    out."""
    scores: list[str] = field(default_factory=lambda: ["naswot", "params"])
    """The scores to pick by: {scores}; params and macs are model size."""
    samples: int | Literal["all"] = _within(1, 10_000_000, "all")
    """Number of candidates drawn from the table, or all; all of them are scored."""


@dataclass
class CellSettings(TableSettings):
    """Table 1: the accuracy of the architectures that searches of NAS-Bench-101 pick, next to the published numbers."""

    samples: int | Literal["all"] = _within(1, 10_000_000, 10_000)
    """Number of candidates drawn from the table, or all; to score all 423,624 takes hours."""


@dataclass
class PanelSettings(Scoring):
    """Figures 3, 9 and 10: score before training against accuracy after training, one panel per table and data set."""

    samples: int = _within(2, 1_000_000, 1000)
    """Number of networks drawn for each panel."""


@dataclass
class BarSettings(PanelSettings):
    """Figure 4: Kendall's tau of several scores with accuracy, one group of bars per table."""

    scores: list[str] = field(default_factory=lambda: ["naswot", "grad_norm", "synflow", "params"])
    """The scores to compare: {scores}; params and macs are model size."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scores:
            raise UserError("--scores: give the scores to compare, such as --scores naswot params")


@dataclass
class AblationSettings(Scoring):
    """Figure 5: how the scores of ten networks vary with the probe batch, noise images, the weights and batch size."""

    samples: int = _within(2, 1_000, 20)
    """Number of scores per network in each panel."""
    batch_sizes: list[int] = field(default_factory=lambda: [32, 64, 128, 256], metadata={"bounds": (2, 10_000)})
    """Batch sizes of the fourth panel."""


@dataclass
class AlgorithmSettings(Scoring):
    """Compare search algorithms on a table: the best accuracy so far over trainings and over simulated seconds."""

    algorithms: list[str] = field(default_factory=lambda: ["random", "rea", "area", "reinforce", "bohb"])
    """The algorithms to compare, optionally with options: {algorithms}."""
    searches: int = _within(1, _MOST_RUNS, 50)
    """Number of searches, each with its own seed, per algorithm."""
    evaluations: int = _within(1, _MOST_RUNS, 200)
    """Number of trainings per search."""
    budget: float | None = _within(1, 1e9, None)
    """End each search after this many seconds of training, as recorded in the table, instead of --evaluations."""
    benchmark_dataset: str = "cifar10"
    """The data set whose accuracies direct the searches and are shown."""
