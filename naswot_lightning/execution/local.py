"""The engine of this machine: tasks one after the other in this process, or side by side in threads or processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from naswot_lightning.errors import MachineError, UserError, raise_machine_fault
from naswot_lightning.execution.base import (
    Executor,
    R,
    ResourceRequest,
    Stoppable,
    T,
    Task,
    WorkerFailure,
    forks_ended,
    free_memory,
    is_device_failure,
    machine_failure,
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
# Faults of a device one after the other with no result between them: then it gets no more work.
_MOST_FAULTS = 2

# Of an item: where, and why.
_AGAIN = "warning: %s %s; what it was at is tried again at the end"

log = logging.getLogger(__name__)


def local_executor(request: ResourceRequest) -> Executor:
    """Return this process, threads that wait for processes, or processes: one per core or accelerator by default.

    A timeout always asks for processes: this one cannot end a call that hangs.
    """
    # Jobs of SLURM import this module, and tune their process before torch is loaded.
    import torch

    from naswot_lightning.execution.resources import accelerators
    from naswot_lightning.networks import get_device

    if request.runs_subprocess:
        return ThreadExecutor(request.slots)
    on_cpu = get_device(request.device).type == "cpu"
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
    """Runs items in their order, in this process; one for which memory runs out once more, when all are finished."""

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result; a broken device, which this process cannot leave, is a UserError."""
        try:
            task.prepare()
        except Exception as error:
            raise_machine_fault(error)
            raise
        again: list[T] = []
        for item, is_last_try in chain(((item, False) for item in items), ((item, True) for item in again)):
            # run_item, written out: few calls from a search to its codes.
            try:
                with forks_ended():
                    result: R | WorkerFailure = task(item)
            except Exception as error:  # noqa: BLE001 - raised again
                result = machine_failure(error)
            if isinstance(result, WorkerFailure):
                free_memory()
            if is_device_failure(result):
                raise MachineError(
                    f"this process {result.reason}, and can use the device no more; what is finished is kept: run the "
                    "same command again; --workers 2 survives such a fault",
                    "device",
                )
            if isinstance(result, WorkerFailure) and result.kind == "resource" and not is_last_try:
                log.warning(_AGAIN, "this process", result.reason)
                again.append(item)
            else:
                yield item, result


@dataclass
class ThreadExecutor:
    """Runs items in threads, for tasks that wait for processes; where one raises an error, the others are stopped."""

    count: int

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as they are finished."""
        task.prepare()
        with ThreadPoolExecutor(self.count) as pool:
            futures: dict[Future[R | WorkerFailure], T] = {pool.submit(run_item, task, item): item for item in items}
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
        rest = list(waiting)
        for _ in waiting[:_TRIED]:
            start = time.perf_counter()
            item, result = next(results)
            quickest = min(quickest, time.perf_counter() - start)
            rest.remove(item)
            yield item, result
        if self.processes.count > 1 and quickest * len(rest) >= _WORTHWHILE_S:
            # Raised at once where a user's functions cannot be sent to another process.
            with suppress(UserError):
                results = self.processes.run(task, rest)
        yield from results


@dataclass
class ProcessExecutor:
    """Runs items in processes, which end with this one.

    A process that dies or hangs, or whose device breaks, is replaced. Its item is tried once more when all others are
    finished, on another device where there is one, with no process beside it that could want the same memory; so is an
    item for which memory runs out. A device that breaks twice in a row gets no more work.
    """

    count: int
    environments: Sequence[Mapping[str, str]] = ({},)
    """What each process has in its environment beside ours, in turns: its devices."""
    timeout: float | None = None
    """Seconds after which an item is taken as hung; None for never."""
    threads: int = 1

    def __post_init__(self) -> None:
        self._faults, self._retired = Counter[int](), set[int]()

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as they are finished; workers that cannot get ready are a UserError."""
        cure = "--workers 1, without --timeout"
        return self.run_packed(pack_task(task, self.threads, f"--workers {self.count}", cure), items)

    def run_packed(self, spec: TaskSpec, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Do the same for a task that is packed already."""
        suspects: dict[int, deque[Any]] = defaultdict(deque)
        devices = range(len(self.environments))
        # A file, since a pipe to a worker that dies at its start would never be read to its end.
        with TemporaryDirectory(prefix="naswot-") as folder, changed_environment():
            file = Path(folder, "task")
            file.write_bytes(pickle.dumps(spec))
            slots = [number % len(devices) for number in range(self.count)]
            for item, result, device in self._run(file, deque(items), slots, self.count):
                if isinstance(result, WorkerFailure):
                    log.warning(_AGAIN, "a worker", result.reason)
                    suspects[device].append(item)
                else:
                    yield item, result
            for device, again in suspects.items():
                slots = [*(other for other in devices if other != device), device]
                for item, result, _ in self._run(file, again, slots, 1):
                    yield item, result

    def _run(self, file: Path, waiting: deque[Any], slots: Sequence[int], most: int) -> Iterator[tuple[Any, Any, int]]:
        """Yield each item with its result or failure, and its device; each slot is the device of one worker."""
        workers: dict[int, _Worker] = {}
        unready = 0
        try:
            while waiting or any(worker.calls for worker in workers.values()):
                for number in set(self._usable(slots)[: min(most, len(waiting))]) - set(workers):
                    workers[number] = _Worker(file, slots[number], self.environments[slots[number]])
                for worker in workers.values():
                    worker.give(waiting)
                calls = [call for worker in workers.values() for call in worker.calls]
                wait(calls, None if self.timeout is None else _GLANCE_S, FIRST_COMPLETED)
                for number, worker in list(workers.items()):
                    for item, result in worker.poll(self.timeout):
                        if item is _START:
                            unready += 1
                            expect_ready(unready, result.reason)
                            continue
                        unready = 0 if isinstance(result, WorkerFailure) else unready
                        yield item, result, worker.device
                        self._note(worker.device, result)
                    if worker.has_ended:
                        waiting.extendleft(reversed(workers.pop(number).calls.values()))
        finally:
            for worker in workers.values():
                worker.dismiss()
            for worker in workers.values():
                worker.end()

    def _usable(self, slots: Sequence[int]) -> list[int]:
        """Return the slots whose device works."""
        if usable := [number for number, device in enumerate(slots) if device not in self._retired]:
            return usable
        cure = "what is finished is kept: run the same command again on another device"
        raise MachineError(f"no device is left that works; {cure}", "device")

    def _note(self, device: int, result: Any) -> None:
        """Count the faults of a device in a row; an assertion in the code of a network is none."""
        if not isinstance(result, WorkerFailure):
            self._faults[device] = 0
        elif is_device_failure(result) and "assert" not in result.reason:
            self._faults[device] += 1
            if self._faults[device] == _MOST_FAULTS:
                self._retired.add(device)
                name = " ".join(("the device", *self.environments[device].values()))
                said = "warning: %s gets no more work: %d workers in a row failed there, the last %s"
                log.warning(said, name, _MOST_FAULTS, result.reason)


# In place of an item: a worker gets ready.
_START = object()


class _Worker:
    """A process, as a pool of one: where it dies, it takes no other with it."""

    def __init__(self, file: Path, device: int, environment: Mapping[str, str]) -> None:
        self.device, self._has_gpu = device, bool(environment)
        self.has_ended = False
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

    def poll(self, timeout: float | None) -> Iterator[tuple[Any, Any]]:
        """Yield the items that are finished with their results; raise the task's own error.

        Where it has ended, the last is the failure of what it was at; what it has in advance is left in its calls.
        """
        for item, result in self._results():
            yield item, result
            if is_device_failure(result):
                # In this process every other item would fail as well.
                self.has_ended = True
                self.kill()
                return
        if (failure := self._failure(timeout)) is not None:
            self.has_ended = True
            yield self.calls.pop(next(iter(self.calls))) if self.calls else _START, failure

    def _results(self) -> Iterator[tuple[Any, Any]]:
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

    def _failure(self, timeout: float | None) -> WorkerFailure | None:
        """Return why it answers no more, and end it; None where nothing is wrong."""
        if self._is_lost:
            self._pool.shutdown()
            code = self._process.exitcode
            if code == -signal.SIGKILL:
                return WorkerFailure("was killed by SIGKILL, as Linux does where memory runs out", "resource")
            killed = code is not None and code < 0 and f"was killed by {signal.Signals(-code).name}"
            return WorkerFailure(
                killed or f"ended with exit code {code}", "device" if self._has_gpu else "architecture"
            )
        if timeout is None or not self.calls:
            return None
        allowed = timeout + (_START_S if _START in self.calls.values() else 0.0)
        if time.monotonic() - self._since <= allowed:
            return None
        self.kill()
        return WorkerFailure(f"gave no answer in {allowed:g} s")

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._pool.shutdown()

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
