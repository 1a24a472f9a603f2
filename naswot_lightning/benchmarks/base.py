"""What is known of the architectures of a space: accuracies of trained networks, and what their training cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Benchmark(Protocol):
    """A table of known accuracies.

    Attributes:
        name: of the table, for messages and figures.
        space: the name of its search space, as :func:`spaces.get_space` takes it.
        architectures: those that it knows, in its own order, each as one string of that space.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - above

    @property
    def space(self) -> str: ...  # noqa: D102 - above

    @property
    def architectures(self) -> Sequence[str]: ...  # noqa: D102 - above

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

    def seconds(self, architecture: str, dataset: str, epochs: int | None = None) -> float | None:
        """Return what a search would have paid for an accuracy: seconds of training and of one pass of validation.

        None where the table does not know it.
        """
        ...
