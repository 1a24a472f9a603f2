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
    """tables of known accuracies (naswot benchmarks convert), one or several."""
    space: str | None = None
    """the search space of a CSV's architectures, where they do not tell, or another variant of it whose networks are
    scored; NAS-Bench-101's cells are scored in nasbench101_16, as published, by default."""
    dataset: list[str] = field(default_factory=lambda: ["cifar10"])
    """where the mini-batches come from: {datasets} or noise; of several, each is used for its own accuracies, and the
    first for all others."""
    data_dir: str = "data"
    """the folder of the data sets."""
    image_size: int | None = None
    """side of the images of an imagefolder; their own size by default."""
    batch_size: int = _within(2, 10_000, 128)
    """images in the mini-batch."""
    seed: int = _within(0, 2**32 - 1, 0)
    """seeds the draws, the mini-batch and the weights."""
    canonical: bool = True
    """score networks without their dead branches, equal networks once; false for the paper's count."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    workers: int | None = None
    """processes that score side by side; as in naswot search by default."""
    out: str = "runs/reproduce"
    """the folder of the scores, which later commands use again, and of the tables and figures."""
    overwrite: bool = False
    """score anew where the scores in out were made with other settings."""

    def __post_init__(self) -> None:
        if not self.benchmark:
            raise UserError("--benchmark: give a table of known accuracies, such as --benchmark NAS-Bench-201.npz")
        if not self.dataset:
            raise UserError("--dataset: give the data set of the mini-batches, such as --dataset cifar10")
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
    """Table 2: what searches pick, beside the published numbers."""

    runs: int = _within(1, _MOST_RUNS, 500)
    """runs of searches that look scores up: N architectures drawn anew, the best by its score."""
    searches: int = _within(1, _MOST_RUNS, 50)
    """runs of searches with feedback: REA, AREA, REINFORCE, BOHB."""
    budget: float = _within(1, 1e9, 12_000.0)
    """seconds of training, as the table has them, after which these searches end."""
    evaluations: int | None = _within(1, _MOST_RUNS, None)
    """trainings after which they end where the table has no seconds; without it they are left out there."""
    scores: list[str] = field(default_factory=lambda: ["naswot", "params"])
    """what picks by a score are made by: {scores}; params and macs are model size."""
    samples: int | Literal["all"] = _within(1, 10_000_000, "all")
    """architectures of the table that are candidates, drawn by the seed; all that are to be scored."""


@dataclass
class CellSettings(TableSettings):
    """Table 1: what searches of NAS-Bench-101 pick, beside the published numbers."""

    samples: int | Literal["all"] = _within(1, 10_000_000, 10_000)
    """architectures of the table that are candidates, drawn by the seed; all 423,624 take hours to score."""


@dataclass
class PanelSettings(Scoring):
    """The score of untrained networks against the accuracy of trained ones, a panel for each data set of each table."""

    samples: int = _within(2, 1_000_000, 1000)
    """networks of each panel, drawn by the seed."""


@dataclass
class BarSettings(PanelSettings):
    """Figure 4: Kendall's tau of several scores with accuracy, a group of bars for each table."""

    scores: list[str] = field(default_factory=lambda: ["naswot", "grad_norm", "synflow", "params"])
    """the scores: {scores}; params and macs are model size."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scores:
            raise UserError("--scores: give the scores to compare, such as --scores naswot params")


@dataclass
class AblationSettings(Scoring):
    """Figure 5: how the score of ten networks varies with the mini-batch, noise for images, the weights, the batch."""

    samples: int = _within(2, 1_000, 20)
    """scores of each network, each way."""
    batch_sizes: list[int] = field(default_factory=lambda: [32, 64, 128, 256], metadata={"bounds": (2, 10_000)})
    """of the fourth panel."""


@dataclass
class AlgorithmSettings(Scoring):
    """Best so far of several search algorithms on a table, over evaluations and over simulated seconds."""

    algorithms: list[str] = field(default_factory=lambda: ["random", "rea", "area", "reinforce", "bohb"])
    """algorithms with their options: {algorithms}."""
    searches: int = _within(1, _MOST_RUNS, 50)
    """seeds of each."""
    evaluations: int = _within(1, _MOST_RUNS, 200)
    """trainings of each search."""
    budget: float | None = _within(1, 1e9, None)
    """seconds of training, as the table has them, after which a search ends instead."""
    benchmark_dataset: str = "cifar10"
    """whose accuracies direct the searches and are shown."""
