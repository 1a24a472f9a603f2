"""The cluster that tasks run on: one that is there, or one of this machine alone that is started and ended."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import ResourceRequest
from naswot_lightning.execution.ray_head import Head, head_for, other_cluster, settle_environment
from naswot_lightning.execution.ray_worker import make_bootstrap
from naswot_lightning.execution.remote import TaskSpec, module_path

if TYPE_CHECKING:
    from ray import ObjectRef, ObjectRefGenerator

_CONNECTION_S = 10.0  # for the head of a cluster to answer; Ray itself waits for two minutes
_LOOK_S = 2.0  # between questions for the machines of the cluster
_SILENCE_S = 30.0  # after which it is taken as lost; Ray ends the process without a word after a minute
_SHARES = 10_000  # of a GPU, as Ray counts them


def import_ray() -> Any:
    """Return the package.

    Raises:
        UserError: it is not installed.
    """
    settle_environment()
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--engine ray: {error}; pip install 'naswot-lightning[ray]'") from None
    return ray


class Cluster:
    """The cluster, which runs tasks on items; one that is started here ends with this process, or before.

    Args:
        ray: the package.
        request: what the command asks for.
    """

    def __init__(self, ray: Any, request: ResourceRequest) -> None:
        self.ray = ray
        self._apart, self._device, self._workers = request.runs_subprocess, request.device.type, request.workers
        self._devices = request.devices
        self._cpus = request.threads * request.devices
        self._gpus = 0.0
        self._is_ours = self._is_lost = False
        self._head: Head | None = None
        self._pulse: _Pulse | None = None
        self._sent: tuple[TaskSpec, ObjectRef] | None = None
        self._work: Any = None

    def connect(self, parcel: TaskSpec, sent: bytes) -> None:
        """Join or start the cluster, and send the task to it.

        Raises:
            UserError: there is none, or no machine of it has what a task needs.
        """
        if not self.ray.is_initialized():
            self._start(len(sent))
            self._is_ours, self._sent = True, None
            atexit.register(self.close)  # before Ray's own, which waits for what workers print
        if self._pulse is None:
            self._pulse = _Pulse(self.ray)
        self._gpus = self._gpus_of_a_task()
        if not self.slots():
            raise self._too_small()
        if self._sent is None or self._sent[0] != parcel:
            self._sent = parcel, self.ray.put(sent)
        needs = {"num_cpus": self._cpus, "num_gpus": self._gpus}
        # Nothing is tried again by Ray itself, which would begin with the first item; workers outlive a chunk.
        options = {"num_returns": "streaming", "max_retries": 0, "max_calls": 0}
        self._work = self.ray.remote(**needs, **options)(make_bootstrap())

    def close(self) -> None:
        """Leave the cluster; one that was started here ends, beside this process."""
        if self.fault() is not None:
            self._is_ours, self._is_lost = False, True
            atexit.unregister(self.ray.shutdown)  # which waits for it
        if self._pulse is not None:
            self._pulse.end()
            self._pulse = None
        if self._is_ours:
            self._is_ours = False
            self.ray.shutdown()
        if self._head is not None:
            self._head.close()
            self._head = None

    @property
    def needs(self) -> dict[str, float]:
        """What a task has for itself."""
        return {name: need for name, need in (("CPU", self._cpus), ("GPU", self._gpus)) if need}

    def slots(self) -> int:
        """Return how many tasks its machines take side by side."""
        needs = self.needs
        return sum(min(int(has.get(name, 0) / need) for name, need in needs.items()) for has in self._machines)

    def fault(self) -> str | None:
        """Return in words what is wrong with the cluster, which Ray itself would wait for; None where nothing is."""
        if self._pulse is None:
            return None
        if self._head is not None and self._head.has_ended():
            return "the cluster of this machine has ended"
        if (silent := time.monotonic() - self._pulse.answered) > _SILENCE_S:
            return f"the head of the cluster has not answered for {silent:.0f} s"
        return None if self._pulse.machines else "the cluster has no machine left"

    def start(self, items: list[Any]) -> ObjectRefGenerator:
        """Run a task on items; return what it tells."""
        assert self._sent is not None
        parcel, sent = self._sent
        # In a list, the task is fetched by those workers only that do not have it yet.
        told: ObjectRefGenerator = self._work.remote(module_path(), [sent], pickle.dumps((parcel, items)))
        return told

    def _start(self, bytes_of_task: int) -> None:
        address = other_cluster()
        if address is None:
            self._head = head_for(bytes_of_task)
            address = self._head.address()
        expect_cluster(address)
        atexit.register(self._end_if_lost)
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what it says of a lost cluster is said in our words
        before, folder = signal.getsignal(signal.SIGTERM), os.getcwd()
        os.chdir(os.path.abspath(os.sep))  # workers look there for modules first, even for Ray's own
        try:
            with _quiet():
                self.ray.init(address, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            cure = "expected one of the same version, and RAY_AUTH_MODE as it was started with: token, or disabled"
            raise UserError(f"RAY_ADDRESS {address}: {str(error).splitlines()[0]}; {cure}") from None
        finally:
            os.chdir(folder)
            if callable(before):  # Ray has set its own
                signal.signal(signal.SIGTERM, before)

    def _end_if_lost(self) -> None:
        """End the process where the cluster is lost, since Ray's threads crash in an interpreter that ends then."""
        if self._is_lost:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(2)

    @property
    def _machines(self) -> list[dict[str, float]]:
        assert self._pulse is not None
        return self._pulse.machines

    def _gpus_of_a_task(self) -> float:
        """Return how many, or which share of one where more workers than GPUs are asked for."""
        if self._device != "cuda":
            return 0.0
        gpus = sum(has.get("GPU", 0) for has in self._machines)
        if self._devices > 1 or not gpus or (self._workers or 1) <= gpus:
            return float(self._devices)
        side_by_side = -(-(self._workers or 1) // gpus)
        return int(_SHARES / side_by_side) / _SHARES

    def _too_small(self) -> UserError:
        gpus = f" and {self._gpus:g} GPUs" if self._gpus else ""
        cure = "give fewer --threads or --devices" if self._apart else "use --device cpu"
        return UserError(
            f"--engine ray: no machine of the cluster has {self._cpus} CPUs{gpus} for a task; {cure}, or add machines"
        )


class _Pulse:
    """Asks a cluster for its machines now and then, in a thread: one that is lost gives no answer for a minute.

    Attributes:
        machines: what each has.
        answered: when they were told last, in seconds of ``time.monotonic``.
    """

    def __init__(self, ray: Any) -> None:
        self._ray, self._ended = ray, threading.Event()
        self._ask()
        threading.Thread(target=self._follow, daemon=True).start()

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()

    def _ask(self) -> None:
        self.machines: list[dict[str, float]] = [n["Resources"] for n in self._ray.nodes() if n["Alive"]]
        self.answered = time.monotonic()

    def _follow(self) -> None:
        while not self._ended.wait(_LOOK_S):
            with suppress(Exception):  # its silence tells
                self._ask()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Ray's own threads write on the standard error from the terminal; errors are raised."""
    try:
        ours = os.dup(2)
    except OSError:  # there is none
        yield
        return
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, 2)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)
        os.close(nobody)


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
