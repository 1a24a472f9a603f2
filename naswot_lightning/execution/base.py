"""What is run, what runs it, and what a command asks of its engine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import torch

T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
R = TypeVar("R")
Option = None | bool | int | float | str
Options = Mapping[str, Option | Sequence[Option]]


class Task(Protocol[T_contra, R_co]):
    """Turns an item into its result; the result does not depend on the executor, nor on the order of items.

    An executor that runs it elsewhere pickles it: it raises ``pickle.PicklingError`` where that cannot be.
    """

    def prepare(self) -> None:
        """Get ready; called once in each process that runs the task, before its first item."""

    def __call__(self, item: T_contra, /) -> R_co:
        """Return the result of an item."""


@runtime_checkable
class Stoppable(Protocol):
    """A task that waits for something outside this process, and can be told to end it."""

    def stop(self) -> None:
        """Let calls end soon, from another thread; those to come end at once."""


@dataclass(frozen=True)
class WorkerFailure:
    """Stands in place of a result: the item could not be run, also when it was tried again."""

    reason: str
    """One line, such as "was killed by SIGKILL"."""


class Executor(Protocol):
    """Runs a task on many items."""

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item once with its result, as they are finished; an error of the task ends it."""


@dataclass(frozen=True)
class ResourceRequest:
    """What a command asks of its engine."""

    workers: int | None
    """Tasks side by side; None lets the engine choose."""
    device: torch.device
    devices: int = 1
    """How many of them a task takes together."""
    threads: int = 1
    """Of a task on the CPU."""
    runs_subprocess: bool = False
    """Each call of the task starts a process of its own and only waits for it, as a training does."""
    slots: int = 1
    """Where ``runs_subprocess``: how many of them this machine takes side by side."""
    timeout: float | None = None
    """Seconds after which a call is taken as hung: its process is ended, and the item tried again. None: never."""
    folder: Path = Path()
    """The run folder, seen by all machines, where an engine may keep files of its own."""
    options: Options = field(default_factory=dict)


@contextmanager
def forks_ended() -> Iterator[None]:
    """Let a process that is forked within the block end with it: it answers nothing in our name."""
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(0)


def run_item(task: Task[T, R], item: T) -> R:
    """Return the result of an item, in one process."""
    with forks_ended():
        return task(item)
