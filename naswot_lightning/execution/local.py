"""The engine of this machine: tasks one after the other in this process, or side by side in threads or processes."""

from __future__ import annotations

import atexit
import math
import multiprocessing
import pickle
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from naswot_lightning.errors import Fault, MachineError, UserError, raise_machine_fault
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
from naswot_lightning.execution.engine import Attempts, Chunk, Engine, Pool, Work, Worker, WorkerLost, log
from naswot_lightning.execution.worker import (
    TaskSpec,
    changed_environment,
    interrupts_blocked,
    main_hidden,
    pack_task,
    serve,
)

# Each holds torch and the feature maps of one network, half a gigabyte.
MOST_WORKERS = 16
# Of a GPU, which a small network leaves idle most of the time; not measured.
WORKERS_PER_GPU = 4
# Items that are tried in this process first, and the seconds of work left that are worth workers, which start in 3 s.
_TRIED, _WORTHWHILE_S = 3, 30.0
# Seconds beside the timeout in which a worker must be ready: libraries may come over a slow network.
_START_S = 60.0
# Seconds for a worker to end whose connection is closed.
_PATIENCE_S = 5.0


def local_executor(request: ResourceRequest) -> Executor:
    """Return the executor of a request: serial, threads that wait for processes, or processes.

    Processes are one per core, or several per GPU, by default.

    A timeout always asks for processes: this one cannot end a call that hangs. So does a GPU, which this process leaves
    closed, unless it is to work alone.
    """
    # Jobs of SLURM import this module, and tune their process before torch is loaded.
    import torch

    from naswot_lightning.execution.resources import accelerators
    from naswot_lightning.networks import get_device

    if request.runs_subprocess:
        return ThreadExecutor(request.slots)
    kind = get_device(request.device).type
    environments = accelerators(request.device) or [{}]
    cores = torch.get_num_threads()
    per_gpu = (request.workers_per_gpu or WORKERS_PER_GPU) if kind == "cuda" else 1
    count = request.workers or (min(cores, MOST_WORKERS) if kind == "cpu" else per_gpu * len(environments))
    if request.timeout is None and (request.workers == 1 or (kind not in ("cpu", "cuda") and count == 1)):
        return SerialExecutor()
    # The layers of one network are small, and threads that share them wait for one another: 24 ms per network of
    # NAS-Bench-201 at 16x16 in bf16 with two processes on two cores, 29 ms with both cores on one network.
    processes = ProcessExecutor(count, environments, request.timeout, threads=cores if count == 1 else 1)
    if kind == "cpu" and not request.workers and not request.timeout:
        return AutomaticExecutor(processes)
    processes.grows = not request.workers and kind != "cpu"
    return processes


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
                    f"this process {result.reason} and can no longer use the device; finished work is kept: run the "
                    "same command again, with --workers 2 to survive such failures",
                    "device",
                )
            if isinstance(result, WorkerFailure) and result.kind == "resource" and not is_last_try:
                log.warning(
                    "warning: this process %s; the item it was working on is tried again at the end", result.reason
                )
                again.append(item)
            else:
                yield item, result


class ThreadExecutor(Engine):
    """Runs items in threads, for tasks that wait for trainings; where one raises an error, the others are stopped."""

    trains = True

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def attempt(self, spec: Task[Any, Any], work: Work, alone: bool = False) -> Attempts:
        """Yield each item with its result, as they are finished."""
        spec.prepare()
        futures: dict[Future[Any], Chunk] = {}
        with ThreadPoolExecutor(self.count) as pool:
            try:
                while work or futures:
                    while work and len(futures) < self.count:
                        chunk = work.take()
                        futures[pool.submit(run_item, spec, chunk.items[0])] = chunk
                    for future in wait(futures, return_when=FIRST_COMPLETED).done:
                        yield futures.pop(future), [future.result()], None
            except BaseException:
                if isinstance(spec, Stoppable):
                    spec.stop()
                raise


class AutomaticExecutor:
    """Runs a few items in this process, and the rest in processes if they would take over half a minute here."""

    def __init__(self, processes: ProcessExecutor) -> None:
        self.processes = processes

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


class ProcessExecutor(Pool):
    """Runs items in processes, which end with this one.

    Args:
        count: how many processes.
        environments: what each has in its environment beside ours, in turns: its devices.
        timeout: seconds after which an item is taken as hung; None for never.
        threads: of each process.
    """

    def __init__(
        self, count: int, environments: Sequence[Mapping[str, str]] = ({},), timeout: float | None = None,
        threads: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.count, self.timeout, self.threads = count, timeout, threads
        self.environments = {" ".join(each.values()): each for each in environments}
        # Whether it begins with a process per device, and has the others once they are worth their start.
        self.grows = False

    def pack(self, task: Task[Any, Any]) -> TaskSpec:
        """Return the task and what its processes need."""
        return pack_task(task, self.threads, f"--workers {self.count}", "--workers 1, without --timeout")

    def run_packed(self, spec: Any, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Run what :meth:`pack` has returned."""
        # A file, since a pipe to a worker that dies at its start would never be read to its end.
        with TemporaryDirectory(prefix="naswot-") as folder:
            self._file = Path(folder, "task")
            self._file.write_bytes(pickle.dumps(spec))
            yield from super().run_packed(spec, items)

    def room(self, left: int) -> int:
        """Return how many processes the devices that work take; all of them once they are worth it."""
        names = list(self.environments)
        if self.grows and self.finished >= _TRIED:
            self.grows = self.quickest * left < _WORTHWHILE_S * len(names)
        count = min(self.count, len(names)) if self.grows else self.count
        return len(self.devices.usable(names[number % len(names)] for number in range(count)))

    def start(self, avoided: str | None) -> Worker:
        """Return a process on the device with the fewest, not on the avoided one where it can be."""
        running = Counter(worker.device for worker in self.workers)
        device = min(self.devices.usable(self.environments), key=lambda name: (name == avoided, running[name]))
        timeout = self.timeout and self.timeout + _START_S
        return _Process(self.spec, self._file, device, self.environments[device], timeout)


class _Process(Worker):
    # Shared by all processes: the environment is changed while one is started, and one thread waits for one.
    _lock = Lock()

    def __init__(
        self, spec: TaskSpec, file: Path, device: str, environment: Mapping[str, str], timeout: float | None
    ) -> None:
        self.device, self._timeout = device, timeout
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, str(file), environment))
        with self._lock, interrupts_blocked(), changed_environment(), main_hidden(spec):
            self._process.start()
        # This process waits for its children where it ends before the run.
        atexit.register(self._process.kill)
        theirs.close()

    def get_ready(self) -> None:
        self._receive(self._timeout)

    def run(self, items: Sequence[Any], timeout: float | None) -> tuple[list[Any], Exception | None]:
        # Where it has died, its answer says so.
        with suppress(OSError):
            self._connection.send(items)
        return self._receive(timeout)

    def _receive(self, timeout: float | None) -> Any:
        end = math.inf if timeout is None else time.monotonic() + timeout
        with suppress(EOFError, OSError):
            while not self._connection.poll(max(0.0, min(1.0, end - time.monotonic()))):
                if time.monotonic() >= end:
                    raise WorkerLost(WorkerFailure(f"gave no answer in {timeout:g} s"))
                # A fork of it may still hold the connection.
                if not self._process.is_alive():
                    break
            else:
                return self._connection.recv()
        with self._lock:
            self._process.join(_PATIENCE_S)
            code = self._process.exitcode
        if code == -signal.SIGKILL:
            raise WorkerLost(WorkerFailure("was killed by SIGKILL, as Linux does where memory runs out", "resource"))
        killed = code is not None and code < 0 and f"was killed by {signal.Signals(-code).name}"
        kind: Fault = "device" if self.device else "architecture"
        raise WorkerLost(WorkerFailure(killed or f"ended with exit code {code}", kind))

    def close(self) -> None:
        self._connection.close()

    def end(self, patience: float) -> None:
        self._process.join(patience)
        self._process.kill()
        self._process.join()
        atexit.unregister(self._process.kill)
