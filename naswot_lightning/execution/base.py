"""The interfaces of tasks and executors, and the request of a command to its engine."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeGuard, TypeVar, runtime_checkable

from naswot_lightning.config import PlainValue
from naswot_lightning.errors import Fault, MachineError, describe_error, fault_kind

T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
R = TypeVar("R")


class Task(Protocol[T_contra, R_co]):
    """A function from an item to its result, whatever the executor and the order of items.

    An executor that runs it elsewhere pickles it: it raises ``pickle.PicklingError`` where that cannot be.
    """

    def prepare(self) -> None:
        """Get ready; called once in each process that runs the task, before its first item."""

    def __call__(self, item: T_contra, /) -> R_co:
        """Return the result of an item."""


@runtime_checkable
class Stoppable(Protocol):
    """A task that waits for something outside this process, and can end it."""

    def stop(self) -> None:
        """End running calls soon, from another thread; later calls end at once."""


@dataclass(frozen=True)
class WorkerFailure:
    """In place of a result: the item failed, also when it was tried again."""

    reason: str
    """One line, such as "was killed by SIGKILL"."""
    kind: Fault = "architecture"
    """The cause; only a failure of the architecture would be the same on another machine."""
    is_final: bool = False
    """The task has tried again itself."""


class Executor(Protocol):
    """Runs a task on many items."""

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item once with its result, as they are finished; an error of the task ends it."""


@dataclass(frozen=True)
class ResourceRequest:
    """The request of a command to its engine."""

    workers: int | None
    """Tasks side by side; None lets the engine choose."""
    workers_per_gpu: int | None = field(default=None, kw_only=True)
    """Tasks that share a GPU, where ``workers`` does not say."""
    device: str
    """By its name, as ``--device`` gives it: the devices are those of the machine that runs the task."""
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
    options: Mapping[str, PlainValue] = field(default_factory=dict)


@contextmanager
def forks_ended() -> Iterator[None]:
    """Let a process that is forked within the block end with it: it answers nothing in our name."""
    process = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(0)


def run_item(task: Callable[[T], R], item: T) -> R | WorkerFailure:
    """Return the result of an item in this process; a fault of the machine is a failure, and memory is given back."""
    try:
        with forks_ended():
            return task(item)
    except Exception as error:  # noqa: BLE001 - raised again
        failure = machine_failure(error)
    free_memory()
    return failure


def free_memory() -> None:
    """Free the memory that a failed call has held."""
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        # Where the device is broken, this fails as well.
        with suppress(RuntimeError):
            torch.cuda.empty_cache()


def is_device_failure(result: object) -> TypeGuard[WorkerFailure]:
    """Return whether a process can use its device no more."""
    return isinstance(result, WorkerFailure) and result.kind == "device"


def machine_failure(error: Exception) -> WorkerFailure:
    """Return a fault of the machine as the failure of a worker; raise one of the task again."""
    kind = fault_kind(error)
    if kind == "architecture":
        raise error
    if isinstance(error, MachineError):
        return WorkerFailure(f"met {error}", kind, error.is_final)
    return WorkerFailure(f"met {describe_error(error)}", kind)
