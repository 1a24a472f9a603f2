"""What is run, and what runs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
R = TypeVar("R")


class Task(Protocol[T_contra, R_co]):
    """Turns an item into its result; the same result whichever executor runs it, in whatever order.

    An executor that runs it elsewhere pickles it: it raises ``pickle.PicklingError`` where that cannot be.
    """

    def prepare(self) -> None:
        """Get ready; called once in each process that runs the task, before its first item."""
        ...

    def __call__(self, item: T_contra, /) -> R_co:
        """Return the result of an item."""
        ...


class Executor(Protocol):
    """Runs a task on many items."""

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield each item with its result, as they are finished; an error of the task ends it."""
        ...
