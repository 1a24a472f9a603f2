"""Which of a table's accuracies direct a search, and which tell how good its pick is."""

from __future__ import annotations

from dataclasses import dataclass

from naswot_lightning.benchmarks.base import Benchmark, Known
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
_USUAL = 12  # epochs of a training that directs a search


@dataclass(frozen=True)
class Target:
    """One of the accuracies of a table.

    Attributes:
        dataset: what the networks were trained on, by the benchmark's own name.
        split: of the images that they were tested on.
        epochs: of the training recipe.
    """

    dataset: str
    split: str
    epochs: int

    def __str__(self) -> str:
        return f"{self.dataset} {self.split}, {self.epochs} epochs"

    def accuracy(self, benchmark: Benchmark, architecture: str) -> float | None:
        """Return the mean accuracy over all trainings as a share; None where the table does not know it."""
        if architecture not in benchmark:
            return None
        percent = benchmark.accuracy(architecture, self.dataset, self.split, self.epochs)
        return None if percent is None else percent / 100


def validation_target(benchmark: Benchmark, dataset: str, epochs: int | None = None, exact: bool = False) -> Target:
    """Return the accuracy that directs a search: on validation images, after 12 epochs where the table has them.

    Args:
        benchmark: the table.
        dataset: by our name.
        epochs: of the training.
        exact: whether the only data set of a table is not taken for another.

    Raises:
        UserError: the table has none for the data set, or not for so many epochs.
    """
    return _choose(benchmark, dataset, _VALIDATION, epochs, exact, shortest=True)


def reported_target(benchmark: Benchmark, dataset: str, exact: bool = False) -> Target:
    """Return the accuracy that is reported: on test images, after the longest training.

    Raises:
        UserError: the table has none for the data set.
    """
    return _choose(benchmark, dataset, _TEST, None, exact, shortest=False)


def _choose(
    benchmark: Benchmark,
    dataset: str,
    preferred: dict[str, tuple[tuple[str, str], ...]],
    epochs: int | None,
    exact: bool,
    shortest: bool,
) -> Target:
    of_dataset = [known for known in benchmark.known if _is_of(known, dataset)] or _only(benchmark, dataset, exact)
    order = preferred.get(dataset, ())
    pairs = list(dict.fromkeys((known.dataset, known.split) for known in of_dataset))
    pairs.sort(key=lambda pair: order.index(pair) if pair in order else len(order))
    for pair in pairs:
        lengths = sorted(known.epochs for known in of_dataset if (known.dataset, known.split) == pair)
        if epochs is None:
            return Target(*pair, _USUAL if shortest and _USUAL in lengths else lengths[-1])
        if epochs in lengths:
            return Target(*pair, epochs)
    lengths = sorted({known.epochs for known in of_dataset})
    raise UserError(
        f"--epochs {epochs}: {benchmark.name} knows trainings of {', '.join(map(str, lengths))} epochs on {dataset}"
    )


def _is_of(known: Known, dataset: str) -> bool:
    return known.split != "train" and known.dataset.lower().removesuffix("-valid") == dataset


def _only(benchmark: Benchmark, dataset: str, exact: bool) -> list[Known]:
    """Return what a table of one data set knows, whatever that is called.

    Raises:
        UserError: there are several, or it must be that of the name.
    """
    tested = [known for known in benchmark.known if known.split != "train"]
    names = sorted({known.dataset.lower().removesuffix("-valid") for known in tested})
    if len(names) == 1 and not exact:
        return tested
    raise UserError(
        f"{benchmark.name} knows accuracies on {', '.join(names) or 'nothing'}, not on {dataset}: choose one with "
        "--benchmark_dataset"
    )
