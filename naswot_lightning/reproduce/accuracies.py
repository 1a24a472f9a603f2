"""The accuracies that the paper's plots show, for each data set of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from naswot_lightning.benchmarks import Table
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.reproduce.known_columns import best_of_all_trainings
from naswot_lightning.reproduce.tables import space_of_table

# What the published script takes, where a table knows it; the accuracy that is reported of a pick otherwise.
_PREFERRED = {"cifar10": ("cifar10-valid", "ori-test")}
_LEARNED = 15.0  # percent: networks below it are not in the published plots,
_LEARNED_CELL = 50.0  # and this for NAS-Bench-101


@dataclass(frozen=True)
class Accuracies:
    """An accuracy of every architecture of a table.

    Attributes:
        dataset: by our name.
        label: which accuracy it is.
        values: (n,) percent; NaN where it is not known.
        least: percent; below it a network has learned nothing.
    """

    dataset: str
    label: str
    values: np.ndarray
    least: float

    @property
    def learned(self) -> np.ndarray:
        """Whether the accuracy of each is known, and above the least."""
        above: np.ndarray = np.nan_to_num(self.values) > self.least
        return above


def every_data_set(table: Table) -> list[Accuracies]:
    """Return the accuracies of each data set of a table, by their names."""
    tested = [known for known in table.known if known.split != "train"]
    return [of_data_set(table, each) for each in sorted({_our_name(known.dataset) for known in tested})]


def of_data_set(table: Table, dataset: str) -> Accuracies:
    """Return the accuracies on one data set, by our name.

    Raises:
        UserError: the table has none.
    """
    there = {(known.dataset, known.split): known for known in table.known}
    if space_of_table(table) == "nasbench101" and ("cifar10", "test") in there:
        label = "cifar10 test, the best of all recipes and repeats"
        return Accuracies(dataset, label, best_of_all_trainings(table), _LEARNED_CELL)
    preferred = _PREFERRED.get(dataset)
    if preferred in there:
        epochs = table.expect(*preferred).epochs
        return Accuracies(
            dataset, f"{' '.join(preferred)}, {epochs} epochs", table.every_accuracy(*preferred, epochs), _LEARNED
        )
    target = reported_target(table, dataset)
    values = table.every_accuracy(target.dataset, target.split, target.epochs)
    return Accuracies(dataset, str(target), values, _LEARNED)


def _our_name(dataset: str) -> str:
    return dataset.lower().removesuffix("-valid")
