"""The columns of the paper's tables, out of a table of known accuracies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from naswot_lightning.benchmarks import Table


@dataclass(frozen=True)
class Column:
    """A column of a table of the paper.

    Attributes:
        label: its name there.
        searched: the data set that it belongs to, by our name.
        dataset: what its networks were trained on, by the benchmark's name.
        split: of the images that they were tested on.
    """

    label: str
    searched: str
    dataset: str
    split: str


# Of NAS-Bench-201 and the size space. Validation accuracies of CIFAR-10 are of networks that were trained on half of
# its training images, test accuracies of such that were trained on all (Dong & Yang 2020, Table 5).
TOPOLOGY = (
    Column("C10 val", "cifar10", "cifar10-valid", "x-valid"),
    Column("C10 test", "cifar10", "cifar10", "ori-test"),
    Column("C100 val", "cifar100", "cifar100", "x-valid"),
    Column("C100 test", "cifar100", "cifar100", "x-test"),
    Column("IN16 val", "imagenet16-120", "ImageNet16-120", "x-valid"),
    Column("IN16 test", "imagenet16-120", "ImageNet16-120", "x-test"),
)


@dataclass(frozen=True)
class KnownColumns:
    """What a table knows of the columns that are asked for.

    Attributes:
        values: (n,) percent by label, after the longest training, the mean over its trainings.
        searched: the data set of each, by label.
        missing: in words, what the table does not know.
    """

    values: Mapping[str, np.ndarray]
    searched: Mapping[str, str]
    missing: tuple[str, ...]


def known_columns(table: Table, columns: tuple[Column, ...] = TOPOLOGY) -> KnownColumns:
    """Return those of the columns that a table knows, of all its architectures."""
    there = {(known.dataset, known.split) for known in table.known}
    found = [column for column in columns if (column.dataset, column.split) in there]
    missing = [f"{each.label} ({each.dataset} {each.split})" for each in columns if each not in found]
    return KnownColumns(
        {each.label: table.every_accuracy(each.dataset, each.split) for each in found},
        {each.label: each.searched for each in found},
        tuple(missing),
    )


def best_of_all_trainings(table: Table, dataset: str = "cifar10", split: str = "test") -> np.ndarray:
    """Return the highest accuracy of each architecture over all recipes and repeats, (n,) percent.

    The published script takes this figure for NAS-Bench-101.
    """
    recipes = [known for known in table.known if (known.dataset, known.split) == (dataset, split)]
    found = [table.every_accuracy(dataset, split, known.epochs, seed) for known in recipes for seed in known.seeds]
    best: np.ndarray = np.fmax.reduce(found)
    return best
