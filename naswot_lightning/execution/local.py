"""The engine of this machine: tasks one after the other in this process, or side by side in threads or processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import (
    Executor,
    R,
    ResourceRequest,
    Stoppable,
    T,
    Task,
    WorkerFailure,
    forks_ended,
    run_item,
)
from naswot_lightning.execution.worker import (
    TaskSpec,
    answer_item,
    changed_environment,
    expect_ready,
    interrupts_blocked,
    pack_task,
    start_worker,
)

# Each holds torch and the feature maps of one network, half a gigabyte.
MOST_WORKERS = 16
# Items that are tried in this process, and seconds of work left here that are worth workers, which take 3 s to start.
_TRIED, _WORTHWHILE_S = 3, 30.0
# Beside the timeout, for a worker that gets ready: libraries come over slow networks, too.
_START_S = 60.0
# Between looks for a worker that hangs, and for a worker that is told to end.
_GLANCE_S, _PATIENCE_S = 1.0, 5.0

log = logging.getLogger(__name__)


def local_executor(request: ResourceRequest) -> Executor:
    """Return this process, threads that wait for processes, or processes: one per core or accelerator by default.

    A timeout always asks for processes: this one cannot end a call that hangs.
    """
    # Jobs of SLURM import this module, and tune their process before torch is loaded.
    import torch

    from naswot_lightning.execution.resources import accelerators

    if request.runs_subprocess:
        return ThreadExecutor(request.slots)
    on_cpu = request.device.type == "cpu"
    environments = accelerators(request.device) or [{}]
    cores = torch.get_num_threads()
    count = request.workers or min(cores if on_cpu else len(environments), MOST_WORKERS)
    if request.timeout is None and (request.workers == 1 or (count == 1 and not on_cpu)):
        return SerialExecutor()
    # The layers of one network are small, and threads that share them wait for one another: 24 ms per network of
    # NAS-Bench-201 at 16x16 in bf16 with two processes on two cores, 29 ms with both cores on one network.
    processes = ProcessExecutor(count, environments, request.timeout, threads=cores if count == 1 else 1)
    return processes if request.workers or request.timeout else AutomaticExecutor(processes)


class SerialExecutor:
    """Runs items in their order, in this process."""

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result."""
        task.prepare()
        for item in items:
            with forks_ended():
                result = task(item)
            yield item, result


@dataclass
class ThreadExecutor:
    """Runs items in threads, for tasks that wait for processes; where one raises an error, the others are stopped."""

    count: int

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as they are finished."""
        task.prepare()
        with ThreadPoolExecutor(self.count) as pool:
            futures: dict[Future[R], T] = {pool.submit(run_item, task, item): item for item in items}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                if isinstance(task, Stoppable):
                    task.stop()
                raise


@dataclass
class AutomaticExecutor:
    """Tries a few items in this process, and runs the rest in processes if that takes more than half a minute here."""

    processes: ProcessExecutor

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as they are finished."""
        waiting, quickest = list(items), float("inf")
        results = SerialExecutor().run(task, waiting)
        for _ in waiting[:_TRIED]:
            start = time.perf_counter()
            finished = next(results)
            quickest = min(quickest, time.perf_counter() - start)
            yield finished
        rest = waiting[_TRIED:]
        if self.processes.count > 1 and quickest * len(rest) >= _WORTHWHILE_S:
            # Raised at once where a user's functions cannot be sent to another process.
            with suppress(UserError):
                results = self.processes.run(task, rest)
        yield from results


@dataclass
class ProcessExecutor:
    """Runs items in processes, which end with this one.

    A process that dies or hangs is replaced. Its item is tried once more when all others are finished, with no process
    beside it that could want the same memory.
    """

    count: int
    environments: Sequence[Mapping[str, str]] = ({},)
    """What each process has in its environment beside ours, in turns: its devices."""
    timeout: float | None = None
    """Seconds after which an item is taken as hung; None for never."""
    threads: int = 1

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as they are finished; workers that cannot get ready are a UserError."""
        cure = "--workers 1, without --timeout"
        return self.run_packed(pack_task(task, self.threads, f"--workers {self.count}", cure), items)

    def run_packed(self, spec: TaskSpec, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Do the same for a task that is packed already."""
        suspects = []
        # A file, since a pipe to a worker that dies at its start would never be read to its end.
        with TemporaryDirectory(prefix="naswot-") as folder, changed_environment():
            file = Path(folder, "task")
            file.write_bytes(pickle.dumps(spec))
            for item, result in self._run(file, deque(items), self.count):
                if isinstance(result, WorkerFailure):
                    log.warning("warning: a worker %s; what it was at is tried again at the end", result.reason)
                    suspects.append(item)
                else:
                    yield item, result
            yield from self._run(file, deque(suspects), 1)

    def _run(self, file: Path, waiting: deque[Any], count: int) -> Iterator[tuple[Any, Any]]:
        """Yield each item with its result or failure."""
        workers: dict[int, _Worker] = {}
        unready = 0
        try:
            while waiting or any(worker.calls for worker in workers.values()):
                for number in set(range(min(count, len(waiting)))) - set(workers):
                    workers[number] = _Worker(file, self.environments[number % len(self.environments)])
                for worker in workers.values():
                    worker.give(waiting)
                calls = [call for worker in workers.values() for call in worker.calls]
                wait(calls, None if self.timeout is None else _GLANCE_S, FIRST_COMPLETED)
                for number, worker in list(workers.items()):
                    yield from worker.results()
                    if (reason := worker.failure(self.timeout)) is None:
                        continue
                    del workers[number]
                    at, *others = worker.calls.values() or [_START]
                    waiting.extendleft(reversed(others))
                    if at is _START:
                        unready += 1
                        expect_ready(unready, reason)
                    else:
                        unready = 0
                        yield at, WorkerFailure(reason)
        finally:
            for worker in workers.values():
                worker.dismiss()
            for worker in workers.values():
                worker.end()


# In place of an item: a worker gets ready.
_START = object()


class _Worker:
    """A process, as a pool of one: where it dies, it takes no other with it."""

    def __init__(self, file: Path, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, start_worker, (str(file), environment))
        self._is_lost = False
        # It has been at the first of its calls since then.
        self._since = time.monotonic()
        before = set(multiprocessing.active_children())
        with interrupts_blocked():  # the threads of the pool keep this
            self.calls: dict[Future[Any], Any] = {self._pool.submit(os.getpid): _START}
        (self._process,) = set(multiprocessing.active_children()) - before

    def give(self, waiting: deque[Any]) -> None:
        """Let it have an item, and one in advance, so that it does not wait for this process."""
        try:
            while waiting and len(self.calls) < 2:
                call = self._pool.submit(answer_item, waiting[0])
                self.calls[call] = waiting.popleft()
        except BrokenProcessPool:
            self._is_lost = True

    def results(self) -> Iterator[tuple[Any, Any]]:
        """Yield the items that are finished with their results; raise the task's own error."""
        while self.calls and (call := next(iter(self.calls))).done():
            if isinstance(call.exception(), BrokenProcessPool):
                self._is_lost = True
                return
            item = self.calls.pop(call)
            if item is not _START:
                result, error = call.result()
                if error is not None:
                    raise error
                yield item, result
            self._since = time.monotonic()

    def failure(self, timeout: float | None) -> str | None:
        """Return in words why it answers no more, and end it; None where nothing is wrong."""
        if self._is_lost:
            self._pool.shutdown()
            code = self._process.exitcode
            if code is None or code >= 0:
                return f"ended with exit code {code}"
            memory = ", as Linux does where memory runs out" if code == -signal.SIGKILL else ""
            return f"was killed by {signal.Signals(-code).name}{memory}"
        if timeout is None or not self.calls:
            return None
        allowed = timeout + (_START_S if _START in self.calls.values() else 0.0)
        if time.monotonic() - self._since <= allowed:
            return None
        self._process.kill()
        self._pool.shutdown()
        return f"gave no answer in {allowed:g} s"

    def dismiss(self) -> None:
        """Let it end: at once, where its results are wanted no more."""
        if self.calls:
            self._process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def end(self) -> None:
        """Wait for its end, by force where it hangs."""
        self._process.join(_PATIENCE_S)
        self._process.kill()
        self._process.join()
