"""The engine of Ray: tasks on a cluster, or on one started on this machine; only Ray Core is used."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import ResourceRequest, Stoppable, Task, WorkerFailure
from naswot_lightning.execution.engine import STOPPING, Pool, Worker, WorkerLost, log
from naswot_lightning.execution.worker import LoadedTask, PrintedFile, TaskSpec, module_path, pack_task

if TYPE_CHECKING:
    from ray import ObjectRef

# Seconds that trainings have to save.
_PATIENCE_S = 75.0
# Seconds for the head of a cluster to answer; Ray itself waits for two minutes.
_CONNECTION_S = 10.0


class RemoteWorker:
    """A process of the cluster that runs a task on items; one of its threads runs them, another may stop it."""

    def prepare(self, spec: TaskSpec) -> tuple[list[Any], Exception | None]:
        """Get the task ready; return the machine and the GPUs that it has."""
        self._loaded = LoadedTask(spec)
        gpus = sorted(os.environ.get("CUDA_VISIBLE_DEVICES", "").split(","))
        return [f"{socket.gethostname()} {','.join(gpus)}"], None

    def run(self, items: Sequence[Any], output: PrintedFile | None) -> tuple[list[Any], Exception | None]:
        """Return the results of items, and the error of the task that ended it early."""
        with nullcontext() if output is None else output.printing():
            return self._loaded.run(items)

    def stop(self) -> None:
        """Let a training save and end."""
        if isinstance(self._loaded.task, Stoppable):
            self._loaded.task.stop()


class _Actor(Worker):
    """The handle of a :class:`RemoteWorker` in this process."""

    def __init__(self, ray: Any, actor: Any, sent: ObjectRef, has_gpu: bool, folder: str | None) -> None:
        self._ray, self.actor, self._has_gpu = ray, actor, has_gpu
        # Of a training: what it prints goes through a file, which all machines see.
        self.output = None if folder is None else PrintedFile(Path(folder, f"{time.monotonic_ns()}.out"))
        self.call: ObjectRef = actor.prepare.remote(sent)

    def get_ready(self) -> None:
        (device,), _ = self._get(None)
        self.device = device if self._has_gpu else None

    def run(self, items: Sequence[Any], timeout: float | None) -> tuple[list[Any], Exception | None]:
        self.call = self.actor.run.remote(items, self.output)
        return self._get(timeout)

    def _get(self, timeout: float | None) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(self.call, timeout=timeout)
        except errors.GetTimeoutError:
            raise WorkerLost(WorkerFailure(f"gave no answer in {timeout:g} s")) from None
        except errors.RayActorError:
            raise WorkerLost(WorkerFailure("died, perhaps because memory ran out", "resource")) from None
        except errors.RayTaskError as error:  # our modules cannot be imported there
            raise UserError(
                f"--engine ray: a worker on {error.ip}: {str(error).strip().splitlines()[-1]}; "
                "each machine needs the same Python environment at the same path"
            ) from None

    def close(self) -> None: ...

    def end(self, patience: float) -> None:
        self._ray.kill(self.actor)


class RayExecutor(Pool):
    """Runs chunks of items in workers of Ray, or each item in one where it starts a process.

    They are on the cluster of ``RAY_ADDRESS``, or on one of this machine that is started for them.
    """

    def __init__(self, request: ResourceRequest) -> None:
        super().__init__()
        self._request, self.trains = request, request.runs_subprocess
        self.timeout = request.timeout
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
        self._folder: str | None = None

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """Leave the cluster; one that was started here ends."""
        super().__exit__(kind, *exception)
        if self._is_ours:
            self._is_ours = False
            self._ray.shutdown()

    def pack(self, task: Task[Any, Any]) -> TaskSpec:
        """Return the task and what its workers need."""
        return pack_task(task, self._request.threads, "--engine ray", "--engine local --workers 1")

    def run_packed(self, spec: Any, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Run what :meth:`pack` has returned; what the cluster lacks is a UserError."""
        if not self._ray.is_initialized():
            self._connect()
        if spec != self.spec:
            self._sent = self._ray.put(spec)
        where = self._request.folder.absolute()
        with TemporaryDirectory(prefix=".output-", dir=where) if self.trains else nullcontext() as self._folder:
            yield from super().run_packed(spec, items)

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

    def room(self, left: int) -> int:
        """Return how many workers the cluster has room for, including machines that have joined since."""
        machines = [machine["Resources"] for machine in self._ray.nodes() if machine["Alive"]]
        if not machines:
            raise UserError("--engine ray: the cluster has no machine left; run the same command again")
        needs = self._needs = resources_of_a_task(self._request, machines)
        # GPUs, or groups of them, whoever shares them.
        self._places = sum(int(has.get("GPU", 0) / self._request.devices) for has in machines)
        slots = sum(min(int(has.get(name, 0) / need) for name, need in needs.items()) for has in machines)
        if not slots:
            asked = " and ".join(f"{need:g} {name}s" for name, need in needs.items())
            cure = "give fewer --threads or --devices" if self.trains else "use --device cpu"
            raise UserError(f"--engine ray: no machine of the cluster has {asked} for a task; {cure}, or add machines")
        return min(slots, self._request.workers or slots)

    def start(self, avoided: str | None) -> Worker:
        """Return a worker that gets ready where Ray finds room; one that avoids a GPU has another to itself."""
        cpus, gpus = self._needs["CPU"], self._needs.get("GPU", 0.0)
        gpus = gpus if avoided is None else max(1.0, gpus)
        # Nothing is tried again by Ray itself, which would begin with the first item. The second thread is for stop().
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": 0, "max_concurrency": 2}
        path = {"PYTHONPATH": module_path(), "PYTHONSAFEPATH": "1"}
        actor = self._ray.remote(**options, runtime_env={"env_vars": path})(RemoteWorker).remote()
        return _Actor(self._ray, actor, self._sent, gpus > 0, self._folder)

    def hire(self, avoided: str | None, ended: Event) -> Worker:
        """Return a worker that is ready; one on a GPU that is not wanted holds it until there is another."""
        held: list[Worker] = []
        while not self.suits(worker := super().hire(avoided, ended), avoided):
            held.append(worker)
            if self._places <= len({each.device for each in held}):
                self.devices.usable([str(worker.device)])
                held.remove(worker)
                break
        self.dismiss([each for each in held if not self.devices.is_retired(each.device)])
        return worker

    def stop(self) -> None:
        """End all workers; those that train may save first."""
        training = [each for each in self.workers if self.trains and each not in self.idle]
        try:
            if training:
                log.warning(STOPPING, len(training))
                for each in training:
                    each.actor.stop.remote()
                self._ray.wait([each.call for each in training], num_returns=len(training), timeout=_PATIENCE_S)
                self.show()
        finally:
            super().stop()

    def show(self) -> None:
        """Print what trainings have printed."""
        for each in self.workers:
            if each.output is not None:
                each.output.show()


def resources_of_a_task(request: ResourceRequest, machines: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the CPUs and GPUs that each task reserves, given the resources of each machine."""
    needs = {"CPU": float(request.threads * request.devices)}
    gpus = sum(has.get("GPU", 0) for has in machines)
    if request.device == "cuda" or (request.device == "auto" and gpus):
        needs["GPU"] = float(request.devices)
        # More workers than GPUs share them, to four digits, which Ray has.
        sharing = -(-request.workers // gpus) if request.workers and gpus else request.workers_per_gpu or 1
        if request.devices == 1 and sharing > 1:
            needs["GPU"] = int(10_000 / sharing) / 10_000
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
