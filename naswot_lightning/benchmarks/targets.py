"""Which of a table's accuracies direct a search, and which tell how good its pick is."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from naswot_lightning.benchmarks.table import TRAINING, AvailableAccuracy, Table
from naswot_lightning.errors import UserError

# By data set, the best first: (data set, split) as the benchmarks call them. On NAS-Bench-201 and the size space the
# networks that a search may look at were trained on half of CIFAR-10, and those that are reported on all of it.
_VALIDATION = {
    "cifar10": (("cifar10-valid", "x-valid"), ("cifar10", "valid"), ("cifar10", "x-valid")),
    "cifar100": (("cifar100", "x-valid"),),
    "imagenet16-120": (("ImageNet16-120", "x-valid"),),
}
_TEST = {
    "cifar10": (("cifar10", "ori-test"), ("cifar10-valid", "ori-test"), ("cifar10", "test")),
    "cifar100": (("cifar100", "x-test"), ("cifar100", "ori-test")),
    "imagenet16-120": (("ImageNet16-120", "x-test"), ("ImageNet16-120", "ori-test")),
}
_TEST_SPLITS = ("test", "x-test", "ori-test")
# Epochs of a training that directs a search.
_USUAL = 12

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """One of the accuracies of a table, by the benchmark's own names."""

    dataset: str
    split: str
    epochs: int

    def __str__(self) -> str:
        return f"{self.dataset} {self.split}, {self.epochs} epochs"

    def accuracy(self, benchmark: Table, architecture: str) -> float | None:
        """Return the mean accuracy over all trainings as a share; None where the table does not know it."""
        if architecture not in benchmark:
            return None
        percent = benchmark.accuracy(architecture, self.dataset, self.split, self.epochs)
        return None if percent is None else percent / 100


def search_target(benchmark: Table, dataset: str, epochs: int | None = None, exact: bool = False) -> Target:
    """Return the accuracy that directs a search: on validation images, after 12 epochs where the table has them.

    Where the table has no validation accuracies, test accuracies direct the search, and a warning says so. The data
    set goes by our name; ``exact`` does not take the only data set of a table for another.
    """
    # The best pair of data set and split that has a recipe of so many epochs.
    known = _of_dataset(benchmark, dataset, exact)
    order = _VALIDATION.get(dataset, ())
    for pair in _by_preference(known, order):
        lengths = [each.epochs for each in known if (each.dataset, each.split) == pair]
        if epochs is None or epochs in lengths:
            usual = _USUAL if _USUAL in lengths else max(lengths)
            target = Target(*pair, usual if epochs is None else epochs)
            break
    else:
        there = ", ".join(map(str, sorted({each.epochs for each in known})))
        raise UserError(f"--epochs {epochs}: {benchmark.name} has trainings of {there} epochs on {dataset}")
    if target.split in _TEST_SPLITS:
        log.warning(
            "warning: %s has no validation accuracies on %s: %s directs the search, and is in the column val_acc",
            benchmark.name, dataset, target,
        )  # fmt: skip
    return target


def reported_target(benchmark: Table, dataset: str, exact: bool = False) -> Target:
    """Return the accuracy that is reported, on test images after the longest training; none is a UserError."""
    known = _of_dataset(benchmark, dataset, exact)
    pair = _by_preference(known, _TEST.get(dataset, ()))[0]
    return Target(*pair, max(each.epochs for each in known if (each.dataset, each.split) == pair))


def _by_preference(known: list[AvailableAccuracy], order: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    pairs = list(dict.fromkeys((each.dataset, each.split) for each in known))
    return sorted(pairs, key=lambda pair: order.index(pair) if pair in order else len(order))


def _of_dataset(benchmark: Table, dataset: str, exact: bool) -> list[AvailableAccuracy]:
    """Return the tested accuracies on a data set; of a table of one data set these, whatever that is called."""
    by_name: dict[str, list[AvailableAccuracy]] = {}
    for each in benchmark.known:
        if each.split != TRAINING:
            by_name.setdefault(each.dataset.lower().removesuffix("-valid"), []).append(each)
    if dataset in by_name:
        return by_name[dataset]
    if len(by_name) == 1 and not exact:
        return next(iter(by_name.values()))
    if not by_name and benchmark.further:
        raise UserError(f"{benchmark.name} has no accuracies, only the columns {', '.join(benchmark.further)}")
    known = ", ".join(sorted(by_name)) or "nothing"
    raise UserError(
        f"{benchmark.name} has accuracies on {known}, not on {dataset}; choose one with --benchmark_dataset"
    )
