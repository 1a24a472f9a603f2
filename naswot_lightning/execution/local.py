"""Tasks of this machine: one after the other in this process, or side by side in threads or processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from itertools import count as counted
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Lock, Thread
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import Executor, R, ResourceRequest, Stoppable, T, Task, WorkerFailure, run_item

MOST_WORKERS = 16  # each holds torch and the feature maps of one network, half a gigabyte
_AHEAD = 2  # items a worker has been given, so that none waits for this process
_GLANCE_S = 1.0  # between looks for a worker that hangs
_MOST_STARTS = 3  # of workers that die before they are ready, one after the other
_PATIENCE_S = 5.0  # for a worker that is told to end
_START_S = 60.0  # beside the timeout, for one that gets ready: libraries come over slow networks, too
_READY = "ready"
_TRIED = 3
_WORTHWHILE_S = 30.0  # a worker takes 3 s to start

log = logging.getLogger(__name__)


def local_executor(request: ResourceRequest) -> Executor:
    """Return this process, threads that wait for processes, or processes.

    Where no number of workers is asked for, a process a core or an accelerator, if they are worth their start.
    """
    import torch  # not above: workers import this module, and tune their process before torch is loaded

    from naswot_lightning.execution.resources import accelerators

    if request.runs_subprocess:
        return ThreadExecutor(request.slots)
    environments = accelerators(request.device) or [{}]
    if request.workers == 1 or (request.device.type != "cpu" and request.workers is None and len(environments) == 1):
        return SerialExecutor()
    most = torch.get_num_threads() if request.device.type == "cpu" else len(environments)
    processes = ProcessExecutor(request.workers or min(most, MOST_WORKERS), environments, request.timeout)
    return AutomaticExecutor(processes) if request.workers is None else processes


class SerialExecutor:
    """Runs items in their order, here.

    >>> class Square:
    ...     def prepare(self) -> None: ...
    ...     def __call__(self, item: int) -> int:
    ...         return item**2
    >>> list(SerialExecutor().run(Square(), [2, 3]))
    [(2, 4), (3, 9)]
    """

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result."""
        task.prepare()
        for item in items:
            yield item, run_item(task, item)


class ThreadExecutor:
    """Runs items in threads, which cost nothing while they wait.

    Where one ends with an error, or this process is interrupted, the others are told to stop where the task is
    :class:`~naswot_lightning.execution.base.Stoppable`.

    Args:
        count: of threads.
    """

    def __init__(self, count: int) -> None:
        self.count = count

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


class AutomaticExecutor:
    """Tries a few items here, and runs the rest in processes where that would take longer than half a minute here.

    Args:
        processes: which these would be.
    """

    def __init__(self, processes: ProcessExecutor) -> None:
        self.processes = processes

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as they are finished."""
        task.prepare()
        waiting = list(items)
        quickest = float("inf")
        for item in waiting[:_TRIED]:
            start = time.perf_counter()
            result = run_item(task, item)
            quickest = min(quickest, time.perf_counter() - start)
            yield item, result
        rest = waiting[_TRIED:]
        if rest and self.processes.count > 1 and quickest * len(rest) >= _WORTHWHILE_S and _can_be_sent(task):
            yield from self.processes.run(task, rest)
        else:
            yield from ((item, run_item(task, item)) for item in rest)


def _can_be_sent(task: object) -> bool:
    """Return whether another process can have the task; a user's functions cannot be sent themselves."""
    try:
        pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


class ProcessExecutor:
    """Runs items in processes, which end with this one.

    Where a process dies or hangs, another takes its place. The item that it was at is tried once more when all others
    are finished, with no process beside it that could want the same memory.

    Args:
        count: of processes.
        environments: what each process has in its environment beside ours, in turns: its devices.
        timeout: seconds after which an item is taken as hung; None for never.
    """

    def __init__(
        self, count: int, environments: Sequence[Mapping[str, str]] = ({},), timeout: float | None = None
    ) -> None:
        self.count = count
        self.environments = environments
        self.timeout = timeout

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as they are finished.

        Raises:
            UserError: a process cannot get ready, or the task cannot be sent to one.
        """
        try:
            sent = pickle.dumps(task)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(f"--workers {self.count}: {error}; use --workers 1") from None
        suspects: list[T] = []
        for item, result in self._run(sent, deque(items), self.count):
            if isinstance(result, WorkerFailure):
                log.warning("warning: a worker %s; what it was at is tried again at the end", result.reason)
                suspects.append(item)
            else:
                yield item, result
        for suspect in suspects:
            yield from self._run(sent, deque([suspect]), 1)

    def _run(self, sent: bytes, items: deque[Any], count: int) -> Iterator[tuple[Any, Any]]:
        workers = [self._start(number) for number in range(min(count, len(items)))]
        unready = 0
        try:
            for worker in workers:
                worker.begin(sent, items)
            while True:
                for worker in workers:
                    worker.give_from(items, _AHEAD)
                busy = [worker for worker in workers if worker.given]
                if not busy:
                    return
                wait([worker.answers for worker in busy], None if self.timeout is None else _GLANCE_S)
                for number, worker in enumerate(workers):
                    try:
                        yield from worker.answered(self.timeout)
                        continue
                    except _WorkerLostError as error:
                        reason = str(error)
                    worker.end()
                    at, *others = worker.given.values()
                    items.extendleft(reversed(others))
                    unready = 0 if worker.is_ready else unready + 1
                    if unready == _MOST_STARTS:
                        raise _cannot_start(count, reason)
                    if worker.is_ready:
                        yield at, WorkerFailure(reason)
                    else:
                        items.appendleft(at)
                    workers[number] = self._start(number)
                    workers[number].begin(sent, items)
        finally:
            for worker in workers:
                worker.end()

    def _start(self, number: int) -> _Worker:
        return _Worker(self.environments[number % len(self.environments)])


def _cannot_start(count: int, reason: str) -> UserError:
    return UserError(
        f"one of {count} workers {reason} before it was ready, {_MOST_STARTS} times, perhaps for want of memory; "
        "what is finished is kept: run the same command again with fewer --workers"
    )


@contextmanager
def _safe_start(environment: Mapping[str, str]) -> Iterator[None]:
    """Start a process that Ctrl-C does not reach, since it is ours to answer, and that takes libraries from ours.

    The folder that the user stands in, which may hold somebody's ``signal.py``, does not come before them.
    """
    changed = {"PYTHONSAFEPATH": "1", **environment}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    mask = hasattr(signal, "pthread_sigmask")  # not on Windows
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if mask else set()
    try:
        yield
    finally:
        if mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _WorkerLostError(Exception):
    """A worker will not answer; the text says what became of it."""


class _Worker:
    """One process, what it was given by its numbers, and the ends of its two pipes that this process holds."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        items, self._items = context.Pipe(duplex=False)
        self.answers, answers = context.Pipe(duplex=False)
        self.given: dict[int, Any] = {}
        self._numbers = counted()
        self._lock, self._has_task, self._sender = Lock(), False, Thread()
        self.is_ready = False
        self._since = time.monotonic()  # it has been at the first of what it was given
        self._process: BaseProcess = context.Process(target=_work, args=(items, answers), daemon=True)
        with _safe_start(environment):
            self._process.start()
        items.close()
        answers.close()  # the worker's end alone is open: its death ends the pipe

    def begin(self, task: bytes, items: deque[Any]) -> None:
        """Send it the task, and its first item.

        Through our own pipe, which a dead worker breaks: multiprocessing's waits for ever for one that died before it
        had read its arguments, where these are more than a pipe holds.
        """
        self._sender = Thread(target=self._send, args=(task,), daemon=True)  # one that hangs does not read
        self._sender.start()
        self.give_from(items, 1)

    def _send(self, task: bytes) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._items.send_bytes(task)
            with self._lock:
                for numbered in tuple(self.given.items()):  # what is answered meanwhile leaves it
                    self._items.send(numbered)
                self._has_task = True

    def give_from(self, items: deque[Any], most: int) -> None:
        """Let it have as many items as it may hold."""
        while items and len(self.given) < most:
            with self._lock, suppress(BrokenPipeError, ConnectionResetError):  # its death is seen by its silence
                number = next(self._numbers)
                self.given[number] = items.popleft()
                if self._has_task:
                    self._items.send((number, self.given[number]))

    def answered(self, timeout: float | None) -> Iterator[tuple[Any, Any]]:
        """Yield the items that are finished, with their results.

        Raises:
            _WorkerLostError: it died, or has been at one item for longer than ``timeout`` seconds.
        """
        while self.given and self.answers.poll():
            try:
                message = self.answers.recv()
            except (EOFError, OSError):  # also in the middle of an answer
                self._process.join(_PATIENCE_S)
                raise _WorkerLostError(describe_exit(self._process.exitcode)) from None
            self._since = time.monotonic()
            if message == _READY:
                self.is_ready = True
                continue
            number, result, error = message
            if error is not None:
                raise error
            yield self.given.pop(number), result
            self._since = time.monotonic()
        if timeout is None or not self.given:
            return
        most = timeout if self.is_ready else timeout + _START_S
        if time.monotonic() - self._since > most:
            self._process.kill()
            raise _WorkerLostError(f"gave no answer in {most:g} s")

    def end(self) -> None:
        if self.given:
            self._process.terminate()  # its results are wanted no more
        if not self._sender.is_alive():
            self._items.close()
        self._process.join(_PATIENCE_S)
        self._process.kill()  # it hangs
        self._process.join()
        if self._sender.ident is not None:
            self._sender.join()
        self._items.close()
        self.answers.close()


def describe_exit(code: int | None) -> str:
    """Return in words how a process ended.

    >>> describe_exit(-9)
    'was killed by SIGKILL, as Linux does where memory runs out'
    """
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL, as Linux does where memory runs out"
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _work(items: Connection, answers: Connection) -> None:
    """Be a worker: answer each item with (number, result, error) until there are no more, or nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    with suppress(EOFError, BrokenPipeError):  # the parent is gone, or has no more
        task = _settle(items.recv_bytes())
        answers.send(_READY)
        while True:
            number, item = items.recv()
            answer: tuple[int, Any, Exception | None]
            try:
                answer = number, run_item(task, item), None
            except Exception as error:  # noqa: BLE001 - raised again where the result was wanted
                answer = number, None, error
            answers.send(answer)


def _settle(sent: bytes) -> Task[Any, Any]:
    import gc

    from naswot_lightning.execution.tuning import tune_process

    tune_process()
    import torch

    torch.set_num_threads(1)
    task: Task[Any, Any] = pickle.loads(sent)  # noqa: S301 - of our own parent
    gc.freeze()  # torch's own objects need not be searched for garbage: a quarter of the time to build a network
    task.prepare()
    return task
