"""Engines with workers, each of which runs chunk after chunk, and is waited for by a thread of this process."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import is_device_failure
from naswot_lightning.execution.retries import Attempts, Engine, Work
from naswot_lightning.execution.worker import interrupts_blocked

# Workers that die before they are ready, one after the other: then it is not chance.
_MOST_STARTS = 3
# Items that are sent together at the most, and their seconds for each of the workers, of which this process takes the
# answers; the way of one takes 0.3 ms.
_CHUNK, _CHUNK_S = 8, 0.05
# For a worker that is told to end, and between looks for what has changed.
_PATIENCE_S, _GLANCE_S = 5.0, 0.5


class Lost(Exception):
    """A worker died or hangs, as its :class:`WorkerFailure` says."""


class Worker(ABC):
    """A process, here or elsewhere."""

    device: str | None = None
    is_ready = False

    @abstractmethod
    def get_ready(self) -> None:
        """Wait until it has its task; raise :class:`Lost`."""

    @abstractmethod
    def run(self, items: Sequence[Any], timeout: float | None) -> tuple[list[Any], Exception | None]:
        """Return the results of items, and the error of the task that ended them early; raise :class:`Lost`."""

    @abstractmethod
    def close(self) -> None:
        """Let it end, where it has nothing to do."""

    @abstractmethod
    def end(self, patience: float) -> None:
        """End it, by force where it has not ended after so many seconds."""


class Pool(Engine):
    """Runs chunks in workers, which end with the run, or with the block where it is used with ``with``."""

    timeout: float | None = None
    finished, seconds, quickest = 0, 0.0, float("inf")
    """How many items are finished, the seconds of all, and those of the quickest."""

    def __init__(self) -> None:
        super().__init__()
        # All, and those that have nothing to do; each is a Worker.
        self.workers: list[Any] = []
        self.idle: list[Any] = []
        self.spec: Any = None
        self._lock, self._stays = threading.RLock(), False

    def __enter__(self) -> Pool:
        self._stays = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self._stays = False
        self.rest() if kind is None else self.stop()

    def room(self, left: int) -> int:
        """Return how many workers there can be."""
        raise NotImplementedError

    def start(self, avoided: str | None) -> Worker:
        """Return a worker that gets ready, on another device where that can be chosen."""
        raise NotImplementedError

    def show(self) -> None:
        """Print what workers have printed."""

    def chunk_size(self, left: int) -> int:
        """Return how many items a worker is given: towards the end fewer, so that all workers end together."""
        if self.trains or self.timeout is not None or not self.finished:
            return 1
        workers = len(self.workers) or 1
        return int(max(1, min(_CHUNK, _CHUNK_S * workers * self.finished / self.seconds, left / (2 * workers))))

    def stop(self) -> None:
        """End all workers at once."""
        self.dismiss(self.workers, 0.0)

    def rest(self) -> None:
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
        if alone:  # the memory of the others is wanted
            keeps = [worker for worker in self.idle if self.suits(worker, avoided)][:1]
            self.dismiss([worker for worker in self.workers if worker not in keeps])
        answers, ended, active, answered = SimpleQueue[Any](), threading.Event(), 0, 0
        try:
            while left := work.unanswered(answered):
                if work and active < left:
                    for _ in range((1 if alone else min(self.room(len(work)), left)) - active):
                        active += 1
                        with interrupts_blocked():
                            threading.Thread(
                                target=self._serve, args=(work, avoided, answers, ended), daemon=True
                            ).start()
                with suppress(Empty):
                    answer = answers.get(timeout=_GLANCE_S)
                    if answer is None:  # a thread has ended
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
        """Have a worker run what is left, and tell its answers; one that is lost, or has a broken device, is ended."""
        try:
            worker, works = self.hire(avoided, ended), True
            while works and not ended.is_set() and (chunk := work.take(self.chunk_size(len(work)))).items:
                start = time.monotonic()
                try:
                    results, error = worker.run(chunk.items, self.timeout)
                    seconds = time.monotonic() - start
                    self.finished, self.seconds = self.finished + len(results), self.seconds + seconds
                    self.quickest = min(self.quickest, seconds / max(1, len(results)))
                except Lost as lost:
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
                    raise Lost
                worker = self.start(avoided)
                self.workers.append(worker)
            try:
                worker.get_ready()
                worker.is_ready = True
                break
            except Lost as lost:
                self.dismiss([worker], 0.0)
                if starts == _MOST_STARTS:
                    raise UserError(
                        f"a worker {lost.args[0].reason} before it was ready, {starts} times; what is finished is "
                        "kept: run the same command again with fewer --workers"
                    ) from None
        return worker

    def suits(self, worker: Worker, avoided: str | None) -> bool:
        """Return whether a worker's device works, and is another than the avoided one."""
        return not self.devices.is_retired(worker.device) and (avoided is None or worker.device != avoided)
