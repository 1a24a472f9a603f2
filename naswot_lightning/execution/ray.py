"""The engine of Ray: tasks on a cluster, or on one of this machine alone; of Ray nothing but its core is used."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import (
    R,
    ResourceRequest,
    Stoppable,
    T,
    Task,
    WorkerFailure,
    is_device_failure,
    run_item,
)
from naswot_lightning.execution.worker import PrintedFile, TaskSpec, expect_ready, module_path, pack_task, sendable

if TYPE_CHECKING:
    from ray import ObjectRef

# Items that are sent together at the most: a lost worker takes so many with it.
_CHUNK = 8
# Between looks for workers that hang, and for what trainings print.
_GLANCE_S = 0.5
# Of a training whose worker is lost.
_MOST_TRIES = 3
# For trainings that are told to save.
_PATIENCE_S = 75.0
# For the head of a cluster to answer; Ray itself waits for two minutes.
_CONNECTION_S = 10.0

log = logging.getLogger(__name__)


class RayWorker:
    """A process of the cluster that runs a task on items; one of its threads runs them, another may stop it."""

    def prepare(self, spec: TaskSpec) -> tuple[list[Any], Exception | None]:
        """Get the task ready; return no results, and its error."""
        try:
            self._task = spec.load()
        except Exception as error:  # noqa: BLE001 - raised again by the command
            return [], sendable(error)
        return [], None

    def run(self, items: Sequence[Any], output: PrintedFile | None) -> tuple[list[Any], Exception | None]:
        """Return the results of items, and the error of the task that ended it early."""
        results: list[Any] = []
        try:
            with nullcontext() if output is None else output.printing():
                for item in items:
                    results.append(run_item(self._task, item))
                    if is_device_failure(results[-1]):  # and so is what comes after it in this process
                        results += results[-1:] * (len(items) - len(results))
                        break
        except KeyboardInterrupt:  # a training was stopped
            results.append(WorkerFailure("was interrupted"))
        except Exception as error:  # noqa: BLE001 - raised again by the command
            return results, sendable(error)
        return results, None

    def stop(self) -> None:
        """Let a training save and end."""
        if isinstance(self._task, Stoppable):
            self._task.stop()


@dataclass
class _Call:
    """A call of a worker that is under way: it runs items, or gets ready where there are none."""

    worker: Any
    items: list[Any]
    output: PrintedFile | None = None
    since: float = field(default_factory=time.monotonic)
    is_hung: bool = False


class RayExecutor:
    """Runs chunks of items in workers of Ray, or each item in one where it starts a process.

    They are on the cluster of ``RAY_ADDRESS``, or on one of this machine that is started for them. Where a worker dies
    or hangs, the items of its chunk are tried once more when all others are finished, each alone, with none beside it
    that could want the same memory. A training is tried again at once, up to three times in all.
    """

    def __init__(self, request: ResourceRequest) -> None:
        self._request, self._trains = request, request.runs_subprocess
        kind, _, number = request.device.partition(":")
        if number:
            raise UserError(f"--device {request.device}: Ray chooses among the GPUs; use --device {kind}")
        # Ray reads these in every process, before it is imported; what the user has set stays. What it prints of lost
        # workers is said in our words; the workers of a cluster that is started here are the work.
        settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": ".", "RAY_worker_niceness": "0"}
        self._address = os.environ.get("RAY_ADDRESS") or "local"
        if "RAY_AUTH_MODE" not in os.environ and self._address == "local":
            # A private cluster takes a token of its own, which is nowhere stored.
            settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        for name, value in settings.items():
            os.environ.setdefault(name, value)
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise UserError(f"--engine ray: {error}; pip install 'naswot-lightning[ray]'") from None
        self._is_ours = False
        self._spec: TaskSpec | None = None
        self._sent: ObjectRef | None = None
        # Workers that are ready for the task of ``_spec``: they stay for the next batch of a search.
        self._idle: list[Any] = []
        self._calls: dict[ObjectRef, _Call] = {}
        self._losses = Counter[Any]()
        self._unready = 0

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the cluster; one that was started here ends."""
        self._kill_workers()
        if self._is_ours:
            self._is_ours = False
            self._ray.shutdown()

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result, as their chunks are finished; what the cluster lacks is a UserError."""
        spec = pack_task(task, self._request.threads, "--engine ray", "--engine local --workers 1")
        waiting = deque(items)
        if not waiting:
            return
        if not self._ray.is_initialized():
            self._connect()
        if spec != self._spec:
            self._kill_workers()
            self._spec, self._sent = spec, self._ray.put(spec)
        suspects: deque[T] = deque()
        for item, result in self._results(waiting, self._request.workers):
            if isinstance(result, WorkerFailure) and not self._trains:
                suspects.append(item)
            else:
                yield item, result
        if suspects:
            self._kill_workers()  # for their memory
            yield from self._results(suspects, 1)

    def _connect(self) -> None:
        """Join the cluster of ``RAY_ADDRESS``, or start one of this machine, which ends with this process."""
        expect_cluster(self._address)
        own = {"include_dashboard": False} if self._address == "local" else {}
        handler, folder = signal.getsignal(signal.SIGTERM), os.getcwd()
        # Workers look for modules in the folder of this call, even for Ray's own.
        os.chdir(os.path.abspath(os.sep))
        try:
            self._ray.init(self._address, log_to_driver=False, logging_level="ERROR", **own)
        except (OSError, RuntimeError, ValueError) as error:
            cure = "expected one of the same version, and RAY_AUTH_MODE as it was started with: token, or disabled"
            raise UserError(f"RAY_ADDRESS {self._address}: {str(error).splitlines()[0]}; {cure}") from None
        finally:
            os.chdir(folder)
            # Ray has set its own.
            if callable(handler):
                signal.signal(signal.SIGTERM, handler)
        self._is_ours = True

    def _results(self, waiting: deque[Any], workers: int | None) -> Iterator[tuple[Any, Any]]:
        """Yield each item with its result or failure, with so many workers, or as many as the cluster takes."""
        shared_folder: Any = nullcontext()
        # What trainings print goes through files, which all machines see.
        if self._trains:
            shared_folder = TemporaryDirectory(prefix=".output-", dir=self._request.folder.absolute())
        with shared_folder as folder:
            try:
                while waiting or any(call.items for call in self._calls.values()):
                    self._start_workers(len(waiting) + len(self._calls), workers)
                    while waiting and self._idle:
                        # Towards the end fewer, so that all workers end together; one where a lost one is to be told.
                        share = -(-len(waiting) // (2 * (len(self._calls) + len(self._idle))))
                        alone = self._trains or workers == 1 or self._request.timeout is not None
                        count = 1 if alone else min(_CHUNK, share)
                        items = [waiting.popleft() for _ in range(count)]
                        worker = self._idle.pop()
                        output = PrintedFile(Path(folder, f"{time.monotonic_ns()}.out")) if folder else None
                        self._calls[worker.run.remote(items, output)] = _Call(worker, items, output)
                    for call in self._calls.values():
                        self._watch(call)
                    for ref in self._ray.wait(list(self._calls), timeout=_GLANCE_S)[0]:
                        yield from self._collect(ref, waiting)
            except BaseException:
                self._stop()
                raise
            # A worker that has lost its machine, or its room to others, may never be ready.
            for call in self._calls.values():
                self._ray.kill(call.worker)
            self._calls.clear()

    def _start_workers(self, wanted: int, most: int | None) -> None:
        """Start workers where the cluster has room for them, also on machines that have joined it meanwhile."""
        machines = [machine["Resources"] for machine in self._ray.nodes() if machine["Alive"]]
        if not machines:
            raise UserError("--engine ray: the cluster has no machine left; run the same command again")
        needs = resources_of_a_task(self._request, machines)
        slots = sum(min(int(has.get(name, 0) / need) for name, need in needs.items()) for has in machines)
        if not slots:
            asked = " and ".join(f"{need:g} {name}s" for name, need in needs.items())
            cure = "give fewer --threads or --devices" if self._trains else "use --device cpu"
            raise UserError(f"--engine ray: no machine of the cluster has {asked} for a task; {cure}, or add machines")
        # Nothing is tried again by Ray itself, which would begin with the first item. The second thread is for stop().
        options = {"num_cpus": needs["CPU"], "num_gpus": needs.get("GPU", 0), "max_restarts": 0, "max_concurrency": 2}
        path = {"PYTHONPATH": module_path(), "PYTHONSAFEPATH": "1"}
        for _ in range(min(slots, wanted, most or slots) - len(self._calls) - len(self._idle)):
            worker = self._ray.remote(**options, runtime_env={"env_vars": path})(RayWorker).remote()
            self._calls[worker.prepare.remote(self._sent)] = _Call(worker, [])

    def _watch(self, call: _Call) -> None:
        """Show what a training has printed; end a worker that hangs."""
        if call.output is not None:
            call.output.show()
        timeout = self._request.timeout
        if call.items and timeout is not None and time.monotonic() - call.since > timeout:
            call.is_hung = True
            self._ray.kill(call.worker)

    def _collect(self, ref: ObjectRef, waiting: deque[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield the items of a call that has ended with their results."""
        call = self._calls.pop(ref)
        if call.output is not None:
            call.output.show()
        try:
            results, failure = self._ray.get(ref)
        except self._ray.exceptions.RayActorError:
            timeout = self._request.timeout
            reason = f"gave no answer in {timeout:g} s" if call.is_hung else "died, perhaps for want of memory"
            failed = WorkerFailure(reason, "architecture" if call.is_hung else "resource")
            results, failure = [failed] * len(call.items), None
            self._unready += not call.items
            expect_ready(self._unready, reason)
            if call.items and not self._trains and not self._losses[call.items[0]]:
                log.warning("warning: a worker %s; what it was at is tried again at the end", reason)
        except self._ray.exceptions.RayTaskError as error:  # our modules cannot be imported there
            raise UserError(
                f"--engine ray: a worker on {error.ip}: {str(error).strip().splitlines()[-1]}; "
                "each machine needs the same Python environment at the same path"
            ) from None
        else:
            self._unready = 0
            if results and is_device_failure(results[-1]):
                self._ray.kill(call.worker)
            else:
                self._idle.append(call.worker)
        for item, result in zip(call.items, results, strict=False):
            self._losses[item] += isinstance(result, WorkerFailure)
            if self._trains and isinstance(result, WorkerFailure) and self._losses[item] < _MOST_TRIES:
                log.warning("warning: a worker %s; %s is tried again", result.reason, getattr(item, "name", item))
                waiting.appendleft(item)
            else:
                yield item, result
        if failure is not None:
            raise failure

    def _stop(self) -> None:
        """End all workers; those that train may save first."""
        training = {ref: call for ref, call in self._calls.items() if self._trains and call.items}
        try:
            if training:
                log.warning("%d trainings are told to save and end; Ctrl-C ends them at once", len(training))
                for call in training.values():
                    call.worker.stop.remote()
                self._ray.wait(list(training), num_returns=len(training), timeout=_PATIENCE_S)
                for call in training.values():
                    self._watch(call)
        finally:
            self._kill_workers()

    def _kill_workers(self) -> None:
        """End all workers, whatever they are at."""
        for worker in [*(call.worker for call in self._calls.values()), *self._idle]:
            self._ray.kill(worker)
        self._calls.clear()
        self._idle.clear()


def resources_of_a_task(request: ResourceRequest, machines: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the CPUs and GPUs that a task has for itself, out of what each machine has by Ray's names."""
    needs = {"CPU": float(request.threads * request.devices)}
    gpus, workers = sum(has.get("GPU", 0) for has in machines), request.workers or 1
    if request.device == "cuda" or (request.device == "auto" and gpus):
        needs["GPU"] = float(request.devices)
        # More workers than GPUs share them, to four digits, which Ray has.
        if request.devices == 1 and 0 < gpus < workers:
            needs["GPU"] = int(10_000 / -(-workers // gpus)) / 10_000
    return needs


def expect_cluster(address: str) -> None:
    """Raise :class:`UserError` where nobody answers."""
    if "://" in address:
        raise UserError(f"RAY_ADDRESS {address}: expected HOST:PORT of a cluster that this machine has joined, or auto")
    host, colon, port = address.rpartition(":")
    if not colon:  # auto, local, or what Ray will refuse
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECTION_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"RAY_ADDRESS {address}: {error}; start a cluster there with ray start --head") from None
