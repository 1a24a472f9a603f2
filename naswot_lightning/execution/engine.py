"""Engines: the rule for retries of failed items, and a pool of workers that run chunk after chunk."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from naswot_lightning.errors import MachineError, UserError
from naswot_lightning.execution.base import R, T, Task, WorkerFailure, is_device_failure
from naswot_lightning.execution.worker import interrupts_blocked

# Tries of an item, and of a training, which goes on where it was.
MOST_TRIES, MOST_TRIES_OF_TRAININGS = 2, 3
# Faults in a row after which a device gets no more work.
_MOST_FAULTS = 2
# Workers in a row that may die before they are ready.
_MOST_STARTS = 3
# Most items of a chunk, and its seconds for each of the workers: this process handles their answers, 0.3 ms each.
_CHUNK, _CHUNK_S = 8, 0.05
# Seconds that a worker has to end, and between polls for answers.
_PATIENCE_S, _POLL_S = 5.0, 0.5

# Logged where the command is interrupted.
STOPPING = "%d trainings are told to save and end; Ctrl-C ends them at once"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Chunk:
    """Items that are sent to a process together."""

    items: Sequence[Any]
    tries: int = 1
    avoided: str | None = None
    """The device on which the last try failed."""


# Chunks that have ended, with their results and the name of the device; None where it is not known.
Attempts = Iterator[tuple[Chunk, list[Any], str | None]]


class Work:
    """A queue for several threads: chunks, which come first, and items that are in no chunk yet."""

    def __init__(self, items: Iterable[Any] = (), chunks: Iterable[Chunk] = ()) -> None:
        self.items, self.chunks = deque(items), deque(chunks)
        self.taken, self._lock = 0, threading.Lock()

    def __len__(self) -> int:
        return len(self.items) + len(self.chunks)

    def take(self, count: int = 1) -> Chunk:
        """Return the next chunk, or one of ``count`` new items; an empty chunk if nothing is left."""
        with self._lock:
            self.taken += len(self) > 0
            if self.chunks:
                return self.chunks.popleft()
            return Chunk([self.items.popleft() for _ in range(min(count, len(self.items)))])


class Devices:
    """Counts faults of devices, and retires those that fail repeatedly."""

    def __init__(self) -> None:
        self._faults, self._retired = Counter[str](), set[str]()

    def note(self, device: str, result: object) -> None:
        """Count a device's faults in a row; an assertion in a network's code is no fault."""
        if not is_device_failure(result):
            self._faults[device] *= isinstance(result, WorkerFailure)
        elif "assert" not in result.reason:
            self._faults[device] += 1
            if self._faults[device] == _MOST_FAULTS:
                self._retired.add(device)
                said = "warning: device %s is no longer used: %d workers in a row failed on it; the last one %s"
                log.warning(said, device, _MOST_FAULTS, result.reason)

    def is_retired(self, device: str | None) -> bool:
        """Return whether it gets no more work."""
        return device in self._retired

    def usable(self, devices: Iterable[str]) -> list[str]:
        """Return the devices that are not retired; raise :class:`MachineError` if there are none."""
        if found := [device for device in devices if device not in self._retired]:
            return found
        cure = "finished work is kept; run the same command again on another device"
        raise MachineError(f"no working device is left; {cure}", "device")


class Engine:
    """Base of executors that run items in processes and retry those that fail.

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
        """Run items of a task that :meth:`pack` has packed."""
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
        self.release()

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

    def release(self) -> None:
        """Let go of what a finished run has used."""

    def _judged(self, attempts: Attempts, work: Work, again: list[Chunk]) -> Iterator[tuple[Any, Any]]:
        """Yield final results; put items to retry into ``work``, or into ``again`` for the end."""
        most = MOST_TRIES_OF_TRAININGS if self.trains else MOST_TRIES
        for chunk, results, device in attempts:
            failed = []
            for item, result in zip(chunk.items, results, strict=False):
                if device is not None:
                    self.devices.note(device, result)
                if isinstance(result, WorkerFailure) and not result.is_final:
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
            what, end = getattr(items[0], "name", "the item it was working on"), "" if at_once else " at the end"
            log.warning("warning: %s %s; %s is tried again%s", self.name, failure.reason, what, end)


class WorkerLost(Exception):
    """A worker died or hangs, as its :class:`WorkerFailure` says."""


class Worker(ABC):
    """A process, here or elsewhere."""

    device: str | None = None
    is_ready = False

    @abstractmethod
    def get_ready(self) -> None:
        """Wait until it has its task; raise :class:`WorkerLost`."""

    @abstractmethod
    def run(self, items: Sequence[Any], timeout: float | None) -> tuple[list[Any], Exception | None]:
        """Return the results of items, and the error of the task that ended them early; raise :class:`WorkerLost`."""

    @abstractmethod
    def close(self) -> None:
        """Let it end, where it has nothing to do."""

    @abstractmethod
    def end(self, patience: float) -> None:
        """End it, by force where it has not ended after so many seconds."""


class Pool(Engine):
    """Runs chunks in workers, which end with the run, or with the block of a context manager."""

    timeout: float | None = None
    finished, seconds, quickest = 0, 0.0, float("inf")
    """How many items are finished, the seconds of all, and those of the quickest."""

    def __init__(self) -> None:
        super().__init__()
        # All, and those that have nothing to do; each is a Worker.
        self.workers, self.idle = list[Any](), list[Any]()
        self.spec: Any = None
        self._lock, self._stays = threading.RLock(), False

    def __enter__(self) -> Pool:
        self._stays = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._stays = False
        self.release() if kind is None else self.stop()

    def room(self, left: int) -> int:
        """Return how many workers there can be."""
        raise NotImplementedError

    def start(self, avoided: str | None) -> Worker:
        """Return a worker that gets ready, on another device where that can be chosen."""
        raise NotImplementedError

    def show(self) -> None:
        """Print what workers have printed."""

    def chunk_size(self, left: int) -> int:
        """Return the number of items for a worker: fewer towards the end, so that all workers end together."""
        if self.trains or self.timeout is not None or not self.finished:
            return 1
        workers = len(self.workers) or 1
        return int(max(1, min(_CHUNK, _CHUNK_S * workers * self.finished / self.seconds, left / (2 * workers))))

    def stop(self) -> None:
        """End all workers at once."""
        self.dismiss(self.workers, 0.0)

    def release(self) -> None:
        """End the workers, which stay for the next batch of a search within a block."""
        if not self._stays:
            self.dismiss(self.workers)

    def dismiss(self, workers: Iterable[Worker], patience: float = _PATIENCE_S) -> None:
        """End some workers, by force those that have not ended after so many seconds."""
        with self._lock:
            chosen = list(workers)
            self.workers = [worker for worker in self.workers if worker not in chosen]
            self.idle = [worker for worker in self.idle if worker not in chosen]
        for worker in chosen if patience else ():
            worker.close()
        for worker in chosen:
            worker.end(patience)

    def attempt(self, spec: Any, work: Work, alone: bool = False) -> Attempts:
        """Yield each chunk with its results and its device."""
        if spec != self.spec:
            self.dismiss(self.workers)
            self.spec = spec
        avoided = work.chunks[0].avoided if alone else None
        if alone:
            # The memory of the others is wanted.
            keeps = [worker for worker in self.idle if self.suits(worker, avoided)][:1]
            self.dismiss([worker for worker in self.workers if worker not in keeps])
        answers, ended, active, answered = SimpleQueue[Any](), threading.Event(), 0, 0
        try:
            # In this order, so that what is taken meanwhile counts.
            while left := len(work) + work.taken - answered:
                if work and active < left:
                    for _ in range((1 if alone else min(self.room(len(work)), left)) - active):
                        active += 1
                        with interrupts_blocked():
                            threading.Thread(
                                target=self._serve, args=(work, avoided, answers, ended), daemon=True
                            ).start()
                with suppress(Empty):
                    answer = answers.get(timeout=_POLL_S)
                    if answer is None:
                        # A thread has ended.
                        active -= 1
                    elif isinstance(answer, BaseException):
                        raise answer
                    else:
                        chunk, results, error, device = answer
                        answered += 1
                        yield chunk, results, device
                        if error is not None:
                            raise error
                self.show()
        finally:
            # A worker that has lost its machine, or its room to others, may never be ready.
            with self._lock:
                ended.set()
                starting = [worker for worker in self.workers if not worker.is_ready]
            self.dismiss(starting, 0.0)

    def _serve(self, work: Work, avoided: str | None, answers: SimpleQueue[Any], ended: threading.Event) -> None:
        """Have a worker run what is left, and queue its answers; one that is lost, or has a broken device, is ended."""
        try:
            worker, works = self.hire(avoided, ended), True
            while works and not ended.is_set() and (chunk := work.take(self.chunk_size(len(work)))).items:
                start = time.monotonic()
                try:
                    results, error = worker.run(chunk.items, self.timeout)
                    seconds = time.monotonic() - start
                    self.finished, self.seconds = self.finished + len(results), self.seconds + seconds
                    self.quickest = min(self.quickest, seconds / max(1, len(results)))
                except WorkerLost as lost:
                    results, error = [lost.args[0]] * len(chunk.items), None
                    self.dismiss([worker], 0.0)
                if results and is_device_failure(results[-1]):
                    # In this process every other item would fail as well.
                    self.dismiss([worker], 0.0)
                answers.put((chunk, results, error, worker.device))
                works = worker in self.workers and not self.devices.is_retired(worker.device)
            self.idle += [worker] if worker in self.workers else []
        except BaseException as error:  # noqa: BLE001 - raised again where the answers are wanted
            answers.put(error)
        answers.put(None)

    def hire(self, avoided: str | None, ended: threading.Event) -> Worker:
        """Return a worker that is ready, on another device than the avoided one where there is one."""
        with self._lock:
            for worker in self.idle:
                if self.suits(worker, avoided):
                    self.idle.remove(worker)
                    return worker
        for starts in range(1, _MOST_STARTS + 1):
            with self._lock:
                if ended.is_set():
                    raise WorkerLost
                worker = self.start(avoided)
                self.workers.append(worker)
            try:
                worker.get_ready()
                worker.is_ready = True
                break
            except WorkerLost as lost:
                self.dismiss([worker], 0.0)
                if starts == _MOST_STARTS:
                    raise UserError(
                        f"a worker {lost.args[0].reason} before it was ready, {starts} times; finished work is kept: "
                        "run the same command again with fewer --workers"
                    ) from None
        return worker

    def suits(self, worker: Worker, avoided: str | None) -> bool:
        """Return whether a worker's device works, and is another than the avoided one."""
        return not self.devices.is_retired(worker.device) and (avoided is None or worker.device != avoided)
