"""A table of known accuracies: look-ups by architecture, in memory or in a converted file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from naswot_lightning.benchmarks.base import Known
from naswot_lightning.benchmarks.columns import Columns
from naswot_lightning.benchmarks.index import Index
from naswot_lightning.benchmarks.records import TRAINING, Key, Measure
from naswot_lightning.errors import UserError, expect_name

VALIDATION = ("x-valid", "valid")  # what the benchmarks call the images that a search looks at

_Query = tuple[Measure, str, str, int, int]
_Seeds = Mapping[int, np.ndarray]


class Table:
    """A :class:`Benchmark` of columns.

    Args:
        name: of the table.
        space: of its architectures.
        source: the name of the file that the figures are from.
        index: of its architectures.
        columns: each is read when it is first asked for.
        numbers: (n,) indices in the benchmark's own order, -1 where an architecture has none.
    """

    def __init__(
        self, name: str, space: str, source: str, index: Index, columns: Columns, numbers: np.ndarray | None = None
    ) -> None:
        self.name, self.space, self.source = name, space, source
        self.index, self.columns, self.numbers = index, columns, numbers
        self._seeds: dict[_Query, dict[int, Key]] = defaultdict(dict)
        for key in sorted(columns.keys):
            self._seeds[_query(key)][key.seed] = key
        self._longest: dict[tuple[Measure, str, str], int] = {}
        for measure, dataset, split, epochs, _ in self._seeds:
            place = (measure, dataset, split)
            self._longest[place] = max(epochs, self._longest.get(place, 0))
        self._loaded: dict[_Query, _Seeds] = {}

    @property
    def architectures(self) -> Sequence[str]:
        """Those that it knows, in the order of the file."""
        return self.index.architectures

    @property
    def known(self) -> tuple[Known, ...]:
        """The accuracies that there are at the end of a training."""
        return tuple(
            Known(dataset, split, epochs, tuple(seeds))
            for (measure, dataset, split, epochs, epoch), seeds in self._seeds.items()
            if measure == "accuracy" and epoch == epochs
        )

    def __contains__(self, architecture: object, /) -> bool:
        """Return whether it knows anything of an architecture."""
        return isinstance(architecture, str) and self.index.row(architecture) is not None

    def expect(self, dataset: str, split: str, epochs: int | None = None) -> Known:
        """Return the accuracies that a caller is going to ask for; the longest recipe by default.

        Raises:
            UserError: there are none; the message names those that there are.
        """
        expect_name(f"data set of {self.name}", dataset, dict.fromkeys(each.dataset for each in self.known))
        ofit = [each for each in self.known if each.dataset == dataset]
        expect_name(f"split of {dataset} in {self.name}", split, dict.fromkeys(each.split for each in ofit))
        recipes = {each.epochs: each for each in ofit if each.split == split}
        if epochs is not None and epochs not in recipes:
            there = ", ".join(map(str, recipes))
            raise UserError(f"{self.name} has no accuracies of {epochs} epochs on {dataset} {split}, only of {there}")
        return recipes[max(recipes) if epochs is None else epochs]

    def accuracy(
        self, architecture: str, dataset: str, split: str, epochs: int | None = None, seed: int | None = None
    ) -> float | None:
        """Return an accuracy in percent, or None where the table does not know it (:class:`Benchmark`)."""
        return self._figure("accuracy", architecture, dataset, split, epochs, seed)

    def accuracies(self, architecture: str, dataset: str, split: str, epochs: int | None = None) -> dict[int, float]:
        """Return the accuracy of each training in percent, by its seed, ascending; none where there is none."""
        return self._figures("accuracy", architecture, dataset, split, epochs)

    def accuracy_at(
        self, architecture: str, dataset: str, split: str, epochs: int, epoch: int, seed: int | None = None
    ) -> float | None:
        """Return the accuracy after a part of the epochs of a recipe, in percent (:class:`Benchmark`)."""
        return self._figure("accuracy", architecture, dataset, split, epochs, seed, epoch)

    def curve(
        self, architecture: str, dataset: str, split: str, epochs: int, seed: int | None = None
    ) -> dict[int, float]:
        """Return the accuracies after those epochs of a recipe of which they are known, in percent, ascending."""
        known = sorted(query[4] for query in self._seeds if query[:4] == ("accuracy", dataset, split, epochs))
        found = ((epoch, self.accuracy_at(architecture, dataset, split, epochs, epoch, seed)) for epoch in known)
        return {epoch: accuracy for epoch, accuracy in found if accuracy is not None}

    def loss(
        self, architecture: str, dataset: str, split: str, epochs: int | None = None, seed: int | None = None
    ) -> float | None:
        """Return a cross-entropy, to 7 digits, or None where the table does not know it."""
        return self._figure("loss", architecture, dataset, split, epochs, seed)

    def seconds(self, architecture: str, dataset: str, epochs: int | None = None) -> float | None:
        """Return seconds of training and of one pass of validation (:class:`Benchmark`).

        Where the file has no time of a validation, or the data set no images for it, these of training alone.
        """
        epochs = self._recipe("seconds", dataset, TRAINING, epochs)
        return self.seconds_at(architecture, dataset, epochs, epochs)

    def seconds_at(self, architecture: str, dataset: str, epochs: int, epoch: int) -> float | None:
        """Return :meth:`seconds` for a part of the epochs; the share of all, where the file has the whole alone."""
        training = self.training_seconds(architecture, dataset, epochs, epoch=epoch)
        return None if training is None else training + self._validation_seconds(architecture, dataset, epochs)

    def training_seconds(
        self, architecture: str, dataset: str, epochs: int | None = None, seed: int | None = None,
        epoch: int | None = None,
    ) -> float | None:  # fmt: skip
        """Return seconds of training alone, without validation.

        Args:
            architecture: a string of the space.
            dataset: as for :meth:`accuracy`.
            epochs: as for :meth:`accuracy`.
            seed: as for :meth:`accuracy`.
            epoch: how many of the epochs; all by default.
        """
        known = self._figure("seconds", architecture, dataset, TRAINING, epochs, seed, epoch)
        if known is not None or not epoch or not epochs:
            return known
        whole = self._figure("seconds", architecture, dataset, TRAINING, epochs, seed)
        return None if whole is None or epoch > epochs else whole * epoch / epochs

    def params(self, architecture: str, dataset: str | None = None) -> int | None:
        """Return the number of parameters; they differ between data sets by their classes."""
        return self._size("params", architecture, dataset)

    def macs(self, architecture: str, dataset: str | None = None) -> int | None:
        """Return the multiply-accumulate operations for one image, as the benchmark counts them."""
        return self._size("macs", architecture, dataset)

    def number(self, architecture: str) -> int | None:
        """Return the index of an architecture in the benchmark's own order, where it has one."""
        row = self.index.row(architecture)
        number = -1 if row is None or self.numbers is None else int(self.numbers[row])
        return None if number < 0 else number

    def every_accuracy(
        self, dataset: str, split: str, epochs: int | None = None, seed: int | None = None
    ) -> np.ndarray:
        """Return the accuracy of every architecture in percent, (n,) in their order; NaN where it is not known."""
        seeds = self._columns("accuracy", dataset, split, epochs)
        chosen = [column for each, column in seeds.items() if seed in (None, each)]
        counts = sum((~np.isnan(column) for column in chosen), np.zeros(len(self.architectures), int))
        sums = sum((np.nan_to_num(column) for column in chosen), np.zeros(len(self.architectures)))
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def _validation_seconds(self, architecture: str, dataset: str, epochs: int) -> float:
        passes = (self._figure("seconds", architecture, dataset, split, epochs, None) for split in VALIDATION)
        return next((seconds for seconds in passes if seconds is not None), 0.0)

    def _size(self, measure: Measure, architecture: str, dataset: str | None) -> int | None:
        datasets = [each for what, each, *_ in self._seeds if what == measure and dataset in (None, each)]
        found = (self._figure(measure, architecture, each, "", 0, None) for each in datasets)
        return next((round(size) for size in found if size is not None), None)

    def _figure(
        self, measure: Measure, architecture: str, dataset: str, split: str, epochs: int | None, seed: int | None,
        epoch: int | None = None,
    ) -> float | None:  # fmt: skip
        figures = self._figures(measure, architecture, dataset, split, epochs, epoch)
        if seed is not None:
            return figures.get(seed)
        return sum(figures.values()) / len(figures) if figures else None

    def _figures(
        self, measure: Measure, architecture: str, dataset: str, split: str, epochs: int | None,
        epoch: int | None = None,
    ) -> dict[int, float]:  # fmt: skip
        row = self.index.row(architecture)
        if row is None:
            return {}
        columns = self._columns(measure, dataset, split, epochs, epoch)
        figures = {seed: column.item(row) for seed, column in columns.items()}
        return {seed: figure for seed, figure in figures.items() if figure == figure}  # not NaN

    def _columns(
        self, measure: Measure, dataset: str, split: str, epochs: int | None, epoch: int | None = None
    ) -> _Seeds:
        epochs = self._recipe(measure, dataset, split, epochs)
        query = (measure, dataset, split, epochs, epochs if epoch is None else epoch)
        loaded = self._loaded.get(query)
        if loaded is None:
            keys = self._seeds.get(query, {})
            loaded = self._loaded[query] = {seed: self.columns.load(key) for seed, key in keys.items()}
        return loaded

    def _recipe(self, measure: Measure, dataset: str, split: str, epochs: int | None) -> int:
        return self._longest.get((measure, dataset, split), 0) if epochs is None else epochs


def _query(key: Key) -> _Query:
    return key.measure, key.dataset, key.split, key.epochs, key.epoch
