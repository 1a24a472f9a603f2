"""The numbers of the paper, files of ``paper/``; and the tables of ``--benchmark``: what its plots show of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from naswot_lightning.benchmarks import Table, open_benchmark
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.errors import UserError
from naswot_lightning.report.figures.bars import PublishedRow, Spread
from naswot_lightning.reproduce.settings import Scoring
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.records import parse_yaml


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper."""

    source: str
    columns: Sequence[str]
    rows: Sequence[PublishedRow]


@dataclass(frozen=True)
class PublishedTaus:
    """Rank correlations of a figure of the paper."""

    source: str
    taus: Mapping[tuple[str, str, str], float]
    """Kendall's tau by space, data set and score."""

    def find(self, space: str, dataset: str, score: str) -> float | None:
        """Return a tau; None where none is on record. Options of a space and ``-valid`` do not count."""
        return self.taus.get((space.partition(":")[0], dataset.lower().removesuffix("-valid"), score))


def published_table(name: str) -> PublishedTable:
    """Return a table of the paper: table1, table2a, table2b."""
    read = _read(name)
    rows = []
    for row in read["rows"]:
        pairs = zip(read["columns"], row["values"], strict=True)
        values = {column: Spread(*pair) for column, pair in pairs if pair is not None}
        rows.append(PublishedRow(**{**row, "values": values}))
    return PublishedTable(read["source"], read["columns"], rows)


def published_taus(figure: str) -> PublishedTaus:
    """Return the correlations of a figure: figure3, figure4; none is on record of figure9 and figure10."""
    read = _read("correlations")[figure]
    taus = {(each["space"], each["dataset"], each["score"]): each["tau"] for each in read["taus"]}
    return PublishedTaus(read["source"], taus)


def _read(name: str) -> Any:
    return parse_yaml((files("naswot_lightning.reproduce") / "paper" / f"{name}.yaml").read_text(encoding="utf-8"))


# The published code scores cells of NAS-Bench-101 in narrow networks.
_AS_PUBLISHED = {"nasbench101": "nasbench101_16"}
# What the published script takes, where a table knows it; the accuracy that is reported of a pick otherwise.
_PREFERRED = {"cifar10": ("cifar10-valid", "ori-test")}
# Percent: networks below it are not in the published plots; the second one for NAS-Bench-101.
_LEARNED = 15.0
_LEARNED_CELL = 50.0


def open_tables(settings: Scoring, spaces: Collection[str] = ()) -> list[Table]:
    """Return the tables of a command, of some spaces by their names without options, or of any."""
    tables = []
    for path in settings.benchmark:
        table = open_benchmark(path, settings.space)
        if spaces and space_of_table(table) not in spaces:
            raise UserError(f"--benchmark {path}: it is of {table.space}; expected a table of {' or '.join(spaces)}")
        if not len(table.architectures):
            raise UserError(f"--benchmark {path}: has no architectures; convert the official file again")
        tables.append(table)
    return tables


def open_table(settings: Scoring, spaces: Collection[str] = ()) -> Table:
    """Return the only table of a command; several are a UserError."""
    if len(settings.benchmark) > 1:
        raise UserError(f"--benchmark {' '.join(settings.benchmark)}: expected one table; give one a command")
    return open_tables(settings, spaces)[0]


def space_of_table(table: Table) -> str:
    """Return the name of a table's space without its options."""
    return table.space.partition(":")[0]


def scored_space(settings: Scoring, table: Table) -> str:
    """Return the space whose networks are scored for a table's architectures: that of ``--space`` where it is given."""
    family = space_of_table(table)
    if settings.space is not None and settings.space.startswith(family):
        return settings.space
    return _AS_PUBLISHED.get(family, table.space)


def images_of(given: Sequence[str], dataset: str) -> str:
    """Return which of ``--dataset`` has the images for accuracies on a data set: the same one, or else the first.

    >>> images_of(["cifar10-valid", "cifar100"], "cifar100"), images_of(["cifar10-valid", "cifar100"], "cifar10")
    ('cifar100', 'cifar10-valid')
    """
    return next((each for each in given if _our_name(each) == _our_name(dataset)), given[0])


def draw_candidates(total: int, samples: int, seed: int) -> np.ndarray:
    """Return the rows of different architectures of a table; a longer sample begins with the shorter one."""
    return np.random.default_rng(derived_seed(seed, "candidates")).permutation(total)[:samples]


@dataclass(frozen=True)
class KnownAccuracies:
    """An accuracy of each of the n architectures of a table."""

    dataset: str
    """by our name."""
    label: str
    values: np.ndarray
    """(n,) percent; NaN where it is not known."""
    least: float = 0.0
    """percent; below it a network has learned nothing."""


def known_accuracies(table: Table) -> list[KnownAccuracies]:
    """Return the accuracies of each data set of a table, by their names; a table without any is a UserError."""
    datasets = {_our_name(known.dataset) for known in table.known if known.split != "train"}
    if not datasets:
        raise UserError(f"{table.name} knows accuracies on training images alone; give a table of tested networks")
    return [accuracies_on(table, each) for each in sorted(datasets)]


def accuracies_on(table: Table, dataset: str) -> KnownAccuracies:
    """Return the accuracies on one data set, by our name; a table without them is a UserError."""
    there = {(known.dataset, known.split) for known in table.known}
    if space_of_table(table) == "nasbench101" and ("cifar10", "test") in there:
        label = "cifar10 test, the best of all recipes and repeats"
        return KnownAccuracies(dataset, label, best_of_all_trainings(table), _LEARNED_CELL)
    preferred = _PREFERRED.get(dataset)
    if preferred in there:
        # The longest recipe that the table has.
        epochs = max(known.epochs for known in table.known if (known.dataset, known.split) == preferred)
        values = table.every_accuracy(*preferred, epochs)
        return KnownAccuracies(dataset, f"{' '.join(preferred)}, {epochs} epochs", values, _LEARNED)
    target = reported_target(table, dataset)
    values = table.every_accuracy(target.dataset, target.split, target.epochs)
    return KnownAccuracies(dataset, str(target), values, _LEARNED)


def best_of_all_trainings(table: Table) -> np.ndarray:
    """Return the best test accuracy of each cell over all recipes and repeats, (n,) percent, as published."""
    recipes = [known for known in table.known if (known.dataset, known.split) == ("cifar10", "test")]
    found = [table.every_accuracy("cifar10", "test", known.epochs, seed) for known in recipes for seed in known.seeds]
    return np.asarray(np.fmax.reduce(found))


def _our_name(dataset: str) -> str:
    return dataset.lower().removesuffix("-valid")
