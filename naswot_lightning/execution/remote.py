"""A task in a process elsewhere: what is sent there, what is told of its items, and what this process makes of it.

An engine starts such processes and carries their messages here, in their order.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from naswot_lightning.errors import UserError, describe_error
from naswot_lightning.execution.base import ResourceRequest, Stoppable, Task, WorkerFailure, run_item

_GLANCE_S = 0.2  # a process that is told to end from elsewhere sees it between waits only
_PATIENCE_S = 60.0  # for a training that is told to save


@dataclass(frozen=True)
class TaskSpec:
    """What a process needs to run a task as this one would, beside the pickled task.

    Attributes:
        digest: of the pickled task.
        folder: the working directory, which paths of the task and its items start from.
        threads: of the task on the CPU.
        runs_subprocess: each call of the task starts a process of its own.
    """

    digest: str
    folder: str
    threads: int
    runs_subprocess: bool


def pack(task: Task[Any, Any], request: ResourceRequest, option: str) -> tuple[TaskSpec, bytes]:
    """Return what is sent: the parcel, and the pickled task.

    Raises:
        UserError: the task cannot be sent; ``option`` asked for it.
    """
    try:
        sent = pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(f"{option}: {error}; use --engine local --workers 1") from None
    return TaskSpec(hashlib.sha256(sent).hexdigest(), os.getcwd(), request.threads, request.runs_subprocess), sent


def module_path() -> list[str]:
    """Return where this process finds modules; the folder that the user stands in is there only by its name."""
    return [path for path in sys.path if path]


@dataclass(frozen=True)
class Ready:
    """The process will answer items from now on.

    Attributes:
        pid: of the process, on its machine.
    """

    pid: int


@dataclass(frozen=True)
class Printed:
    """A line that a call printed.

    Attributes:
        text: with its end.
        is_error: for the standard error.
    """

    text: str
    is_error: bool


@dataclass(frozen=True)
class Done:
    """An item is finished.

    Attributes:
        number: of the item.
        result: of it, or :class:`WorkerFailure`.
    """

    number: int
    result: Any


@dataclass(frozen=True)
class Failed:
    """The task raised an error, which ends the run."""

    error: Exception


Message = Ready | Printed | Done | Failed


class Worker:
    """A process that runs a task on items, one after the other.

    Args:
        parcel: how.
        sent: the pickled task.

    Attributes:
        devices: that this process had for itself when it began; it can use no others later.
        at: the number of the item that it is at.
    """

    def __init__(self, parcel: TaskSpec, sent: bytes) -> None:
        self.parcel = parcel
        self.devices = os.environ.get("CUDA_VISIBLE_DEVICES")
        self._task = _settle(parcel, sent)
        self.at = 0
        self._call: threading.Thread | None = None

    def run(self, items: Mapping[int, Any]) -> Iterator[Message]:
        """Yield what there is to tell, until the items, by their numbers, are finished or one of them fails."""
        yield Ready(os.getpid())
        for self.at, item in items.items():
            if self.parcel.runs_subprocess:
                yield from self._run_aside(item)
            else:
                yield _answer(self._task, self.at, item)

    def stop(self) -> None:
        """Let a call save and end where the task knows how, within a minute."""
        if isinstance(self._task, Stoppable):
            self._task.stop()
        if self._call is not None:
            self._call.join(_PATIENCE_S)

    def _run_aside(self, item: Any) -> Iterator[Message]:
        """Wait for a call in another thread, since a thread that waits for a process cannot be interrupted."""
        told: SimpleQueue[Message] = SimpleQueue()
        self._call = threading.Thread(target=_answer_aside, args=(self._task, self.at, item, told), daemon=True)
        with redirect_stdout(_Lines(told, False)), redirect_stderr(_Lines(told, True)):
            try:
                self._call.start()
                message: Message = Printed("", False)
                while isinstance(message, Printed):
                    with suppress(Empty):
                        message = told.get(timeout=_GLANCE_S)
                        yield message
            except BaseException:
                self.stop()
                raise


class _Lines(io.TextIOBase):
    """Tells what is printed, line by line, each in one piece."""

    def __init__(self, told: SimpleQueue[Message], is_error: bool) -> None:
        self._told, self._is_error, self._begun = told, is_error, ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._told.put(Printed(f"{line}\n", self._is_error))
        return len(text)


def _settle(parcel: TaskSpec, sent: bytes) -> Task[Any, Any]:
    """Return the task, ready in this process."""
    import gc

    from naswot_lightning.execution.tuning import tune_process

    with suppress(OSError):  # a machine without the folder can still do what needs none of its files
        os.chdir(parcel.folder)
    os.environ["OMP_NUM_THREADS"] = str(parcel.threads)  # where torch is loaded later
    tune_process()
    task: Task[Any, Any] = pickle.loads(sent)  # noqa: S301 - of the process that started this one
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(parcel.threads)
    gc.freeze()  # torch's own objects need not be searched for garbage: a quarter of the time to build a network
    task.prepare()
    return task


def _answer(task: Task[Any, Any], number: int, item: Any) -> Message:
    try:
        return Done(number, run_item(task, item))
    except Exception as error:  # noqa: BLE001 - raised again where the result was wanted
        return Failed(sendable(error))


def _answer_aside(task: Task[Any, Any], number: int, item: Any, told: SimpleQueue[Message]) -> None:
    try:
        told.put(_answer(task, number, item))
    except BaseException:  # noqa: BLE001 - it is asked for no more, or its process was stopped by somebody else
        told.put(Done(number, WorkerFailure("was interrupted")))


def sendable(error: Exception) -> Exception:
    """Return an error that can be sent: itself, or its text where it cannot."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever its classes do
        return RuntimeError(describe_error(error))
    return error


class PendingItems:
    """Items that a process was given and has not answered yet.

    Args:
        items: numbered in the order in which it answers them.

    Attributes:
        left: those that are left, by their numbers.
        pid: of the process on its machine; None before it is ready.
        since: when it began to get ready, or the first of these items; seconds of ``time.monotonic``.
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self.left = dict(enumerate(items))
        self.pid: int | None = None
        self.since = time.monotonic()

    def take(self, message: Message) -> Iterator[tuple[Any, Any]]:
        """Yield an item with its result where the message is one; print what was printed, raise what was raised."""
        self.since = time.monotonic()
        match message:
            case Ready(pid):
                self.pid = pid
            case Printed(text, is_error):
                _print(text, sys.stderr if is_error else sys.stdout)
            case Done(number, result) if number in self.left:
                yield self.left.pop(number), result
            case Failed(error):
                raise error

    def is_overdue(self, seconds: float | None) -> bool:
        """Return whether it has been at one item for longer."""
        return seconds is not None and self.pid is not None and time.monotonic() - self.since > seconds


def _print(text: str, stream: Any) -> None:
    stream.write(text)
    stream.flush()


def worker_for(parcel: TaskSpec, load: Callable[[], bytes]) -> Worker:
    """Return the worker of this process, ready for the task; ``load`` returns it pickled where it must be got ready."""
    if parcel not in _WORKERS:
        made = Worker(parcel, load())
        _WORKERS.clear()  # the last task alone: it may hold gigabytes
        _WORKERS[parcel] = made
    return _WORKERS[parcel]


_WORKERS: dict[TaskSpec, Worker] = {}
