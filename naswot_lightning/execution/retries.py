"""What becomes of an item that failed: the one rule of trying again, above all engines."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from naswot_lightning.errors import MachineError
from naswot_lightning.execution.base import R, T, Task, WorkerFailure, is_device_failure

# How often an item is tried, and a training, which begins where it was.
MOST_TRIES, MOST_TRIES_OF_TRAININGS = 2, 3
# Faults of a device one after the other with no result between them: then it gets no more work.
_MOST_FAULTS = 2

# Where the command is ended.
STOPPING = "%d trainings are told to save and end; Ctrl-C ends them at once"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Chunk:
    """Items that a process is given together."""

    items: Sequence[Any]
    tries: int = 1
    avoided: str | None = None
    """The device on which the last try failed."""


# Chunks that have ended, with their results and their devices by name; None where that is not told.
Attempts = Iterator[tuple[Chunk, list[Any], str | None]]


class Work:
    """What is left of a run: chunks that come first, and items that are in none yet. Several threads take from it."""

    def __init__(self, items: Iterable[Any] = (), chunks: Iterable[Chunk] = ()) -> None:
        self.items, self.chunks = deque(items), deque(chunks)
        self._taken, self._lock = 0, Lock()

    def __len__(self) -> int:
        return len(self.items) + len(self.chunks)

    def unanswered(self, answered: int) -> int:
        """Return how much is left, with the chunks that were taken, but for those that are answered."""
        with self._lock:
            return len(self) + self._taken - answered

    def take(self, count: int = 1) -> Chunk:
        """Return a chunk, of so many new items; an empty one where there is none."""
        with self._lock:
            chunk = self.chunks.popleft() if self.chunks else Chunk([])
            chunk.items = chunk.items or [self.items.popleft() for _ in range(min(count, len(self.items)))]
            self._taken += bool(chunk.items)
            return chunk


class Devices:
    """Which devices have failed so often that they get no more work."""

    def __init__(self) -> None:
        self._faults, self._retired = Counter[str](), set[str]()

    def note(self, device: str, result: object) -> None:
        """Count the faults of a device in a row; an assertion in the code of a network is none."""
        if not is_device_failure(result):
            self._faults[device] *= isinstance(result, WorkerFailure)
        elif "assert" not in result.reason:
            self._faults[device] += 1
            if self._faults[device] == _MOST_FAULTS:
                self._retired.add(device)
                said = "warning: the device %s gets no more work: %d workers in a row failed there, the last %s"
                log.warning(said, device, _MOST_FAULTS, result.reason)

    def is_retired(self, device: str | None) -> bool:
        """Return whether it gets no more work."""
        return device in self._retired

    def usable(self, devices: Iterable[str]) -> list[str]:
        """Return those of some devices that work; raise :class:`MachineError` where there is none."""
        if found := [device for device in devices if device not in self._retired]:
            return found
        cure = "what is finished is kept: run the same command again on another device"
        raise MachineError(f"no device is left that works; {cure}", "device")


class Engine:
    """Runs items in processes, in whichever way, and tries again those that fail.

    Items that are lost together are tried again in two halves. One that fails by itself is tried once more when all
    others are finished: with none beside it that could want the same memory, and on another device where there is one.
    A training is tried up to three times, and at once unless its device is broken: it has its memory to itself. A
    device that fails twice in a row gets no more work.
    """

    name = "a worker"
    trains = False
    has_own_memory = False
    """Each of its processes has memory and devices that no other can want."""

    def __init__(self) -> None:
        self.devices = Devices()

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as they are finished; a task that cannot be sent is a UserError."""
        return self.run_packed(self.pack(task), items)

    def run_packed(self, spec: Any, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Do the same for what :meth:`pack` has returned."""
        again: list[Chunk] = []
        try:
            work = self.plan(items)
            yield from self._judged(self.attempt(spec, work), work, again)
            # A worker stays for those that avoid the same device.
            again.sort(key=lambda chunk: chunk.avoided or "")
            for chunk in again:
                work = Work(chunks=[chunk])
                yield from self._judged(self.attempt(spec, work, alone=True), work, again)
        except BaseException:
            self.stop()
            raise
        self.rest()

    def pack(self, task: Task[Any, Any]) -> Any:
        """Return what :meth:`attempt` takes for the task."""
        return task

    def plan(self, items: Iterable[Any]) -> Work:
        """Return what is to be done."""
        return Work(items)

    def attempt(self, spec: Any, work: Work, alone: bool = False) -> Attempts:
        """Yield each chunk once it has ended; more work may come meanwhile.

        Where results are fewer than items, the others have not been begun.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """End what is under way; trainings may save first."""

    def rest(self) -> None:
        """Do so where nothing is under way."""

    def _judged(self, attempts: Attempts, work: Work, again: list[Chunk]) -> Iterator[tuple[Any, Any]]:
        """Yield what is final; put what is tried again into ``work``, or into ``again`` for the end."""
        most = MOST_TRIES_OF_TRAININGS if self.trains else MOST_TRIES
        for chunk, results, device in attempts:
            failed = []
            for item, result in zip(chunk.items, results, strict=False):
                if device is not None:
                    self.devices.note(device, result)
                if isinstance(result, WorkerFailure):
                    failed.append((item, result))
                else:
                    yield item, result
            work.items.extendleft(reversed(chunk.items[len(results) :]))
            if not failed:
                continue
            if chunk.tries >= most:
                yield from failed
                continue
            items, failure = [item for item, _ in failed], failed[-1][1]
            at_once = len(items) > 1 or self.has_own_memory or (self.trains and failure.kind != "device")
            if half := len(items) // 2:
                work.chunks += Chunk(items[:half]), Chunk(items[half:])
            else:
                (work.chunks if at_once else again).append(Chunk(items, chunk.tries + 1, device or None))
            what, end = getattr(items[0], "name", "what it was at"), "" if at_once else " at the end"
            log.warning("warning: %s %s; %s is tried again%s", self.name, failure.reason, what, end)
