"""What is known of the architectures of a space: accuracies of trained networks, and what their training cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Known(NamedTuple):
    """Accuracies that a table has, of some or all of its architectures.

    Attributes:
        dataset: what the networks were trained on, by the benchmark's own name.
        split: of the images that they were tested on.
        epochs: of the training recipe; 0 where the table does not say.
        seeds: of the trainings, ascending.
    """

    dataset: str
    split: str
    epochs: int
    seeds: tuple[int, ...]


class Benchmark(Protocol):
    """A table of known accuracies.

    Names of data sets and splits are the benchmark's own. Where a method takes ``epochs``, they are those of the
    training recipe, and the default is the longest that the table has for the data set and split: an architecture
    that it knows only for a shorter one has none. Where a method takes ``seed``, the default is the mean over all
    trainings that the table has of the architecture.

    Attributes:
        name: of the table, for messages and figures.
        space: the name of its search space, as :func:`spaces.get_space` takes it.
        architectures: those that it knows, in its own order, each as one string of that space.
        known: the accuracies that there are.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - above

    @property
    def space(self) -> str: ...  # noqa: D102 - above

    @property
    def architectures(self) -> Sequence[str]: ...  # noqa: D102 - above

    @property
    def known(self) -> tuple[Known, ...]: ...  # noqa: D102 - above

    def __contains__(self, architecture: object, /) -> bool:
        """Return whether it knows anything of an architecture."""
        ...

    def accuracy(
        self, architecture: str, dataset: str, split: str, epochs: int | None = None, seed: int | None = None
    ) -> float | None:
        """Return an accuracy in percent, or None where the table does not know it.

        Args:
            architecture: a string of the space.
            dataset: what it was trained on, by the benchmark's own name.
            split: of the images that it was tested on, by the benchmark's own name.
            epochs: of the training recipe; the longest that is known by default.
            seed: of one training; the mean over all that are known by default.
        """
        ...

    def accuracies(self, architecture: str, dataset: str, split: str, epochs: int | None = None) -> dict[int, float]:
        """Return the accuracy of each training in percent, by its seed, ascending; none where there is none."""
        ...

    def accuracy_at(
        self, architecture: str, dataset: str, split: str, epochs: int, epoch: int, seed: int | None = None
    ) -> float | None:
        """Return the accuracy after a part of the epochs of a recipe, in percent, or None where it is not known.

        Args:
            architecture: a string of the space.
            dataset: as for :meth:`accuracy`.
            split: as for :meth:`accuracy`.
            epochs: of the recipe, which decides the learning rate of each epoch.
            epoch: how many of them are done, from 1.
            seed: as for :meth:`accuracy`.
        """
        ...

    def seconds(self, architecture: str, dataset: str, epochs: int | None = None) -> float | None:
        """Return what a search would have paid for an accuracy: seconds of training and of one pass of validation.

        None where the table does not know it.
        """
        ...

    def seconds_at(self, architecture: str, dataset: str, epochs: int, epoch: int) -> float | None:
        """Return :meth:`seconds` for a part of the epochs of a recipe."""
        ...
