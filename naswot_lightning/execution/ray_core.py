"""Tasks on a cluster of Ray, or on one of this machine alone; of Ray nothing but its core is used."""

from __future__ import annotations

import atexit
import logging
import os
import pickle
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import Executor, Lost, R, Request, T, Task
from naswot_lightning.execution.remote import Failed, Given, Message, Parcel, module_path, pack, sendable, worker_for

if TYPE_CHECKING:
    from ray import ObjectRef, ObjectRefGenerator

_CHUNK_S = 1.5  # that a chunk of items takes: a hundred times what it costs to send
_HELD_S = 0.25  # that results wait for one another, so that many workers do not swamp this process
_GLANCE_S = 0.5  # between looks for workers that hang
_LOOK_S = 5.0  # between looks for machines that joined the cluster or left it
_MOST_TRIES = 3  # of a training whose worker is lost
_MOST_STARTS = 3  # of workers that die before they are ready, one after the other
_PATIENCE_S = 75.0  # for trainings that are told to save
_STORE_BYTES = 100 * 2**20  # of Ray's object store beside the task; Ray refuses less than 75 MiB
_CONNECTION_S = 10.0  # for the head of a cluster to answer; Ray itself waits for two minutes
_SHARES = 10_000  # of a GPU, as Ray counts them

log = logging.getLogger(__name__)


def ray_executor(request: Request) -> Executor:
    """Return what runs tasks on the cluster of ``RAY_ADDRESS``, or on one of this machine that it starts.

    Raises:
        UserError: Ray is not installed, or a device is asked for by its number.
    """
    if request.device.index is not None:
        raise UserError(f"--device {request.device}: Ray chooses among the GPUs; use --device {request.device.type}")
    return RayTasks(Cluster(_import_ray(), request), request)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # what it prints of lost workers is said in our words
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # as it does, without its warning
    os.environ.setdefault("RAY_worker_niceness", "0")  # of a cluster that is started here: its workers are the work
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--engine ray: {error}; pip install 'naswot-lightning[ray]'") from None
    return ray


class RayTasks:
    """Runs chunks of items as tasks of Ray, or each item as one where it starts a process.

    A chunk tells of each item as it is finished. Where its worker dies or hangs, the others of its items go elsewhere,
    and the item that it was at is tried once more when all others are finished, with none beside it that could want
    the same memory. A training is tried again at once, up to three times in all.

    Args:
        cluster: where.
        request: what the command asks for.
    """

    def __init__(self, cluster: Cluster, request: Request) -> None:
        self._cluster, self._request = cluster, request

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | Lost]]:
        """Yield each item with its result, as they are finished.

        Raises:
            UserError: there is no cluster, it has not what is asked for, its workers cannot get ready, or the task
                cannot be sent to one.
        """
        parcel, sent = pack(task, self._request, "--engine ray")
        waiting = deque(items)
        if not waiting:
            return
        suspects: list[T] = []
        try:
            self._cluster.connect(parcel, sent)
            for item, result in _Run(self._cluster, self._request, self._request.workers).results(waiting):
                if isinstance(result, Lost) and not self._request.apart:
                    log.warning("warning: a worker %s; what it was at is tried again at the end", result.reason)
                    suspects.append(item)
                else:
                    yield item, result
            for suspect in suspects:
                yield from _Run(self._cluster, self._request, 1).results(deque([suspect]))
        except BaseException:
            self._cluster.close()
            raise


class Cluster:
    """The cluster, which runs tasks on items; one that is started here ends with this process, or before.

    Args:
        ray: the package.
        request: what the command asks for.
    """

    def __init__(self, ray: Any, request: Request) -> None:
        self.ray = ray
        self._apart, self._device, self._workers = request.apart, request.device.type, request.workers
        self._devices = request.devices
        self._cpus = request.threads * request.devices
        self._gpus = 0.0
        self._is_ours = False
        self._sent: tuple[Parcel, ObjectRef] | None = None
        self._work: Any = None

    def connect(self, parcel: Parcel, sent: bytes) -> None:
        """Join or start the cluster, and send the task to it.

        Raises:
            UserError: there is none, or no machine of it has what a task needs.
        """
        if not self.ray.is_initialized():
            self._start(len(sent))
            self._is_ours, self._sent = True, None
            atexit.register(self.close)  # before Ray's own, which waits for what workers print
        self._gpus = self._gpus_of_a_task()
        if not self.slots():
            raise self._too_small()
        if self._sent is None or self._sent[0] != parcel:
            self._sent = parcel, self.ray.put(sent)
        needs = {"num_cpus": self._cpus, "num_gpus": self._gpus}
        # Nothing is tried again by Ray itself, which would begin with the first item; workers outlive a chunk.
        options = {"num_returns": "streaming", "max_retries": 0, "max_calls": 0}
        self._work = self.ray.remote(**needs, **options)(_bootstrap())

    def close(self) -> None:
        """End a cluster that was started here; leave another."""
        if self._is_ours:
            self._is_ours = False
            self.ray.shutdown()

    @property
    def needs(self) -> dict[str, float]:
        """What a task has for itself."""
        return {name: need for name, need in (("CPU", self._cpus), ("GPU", self._gpus)) if need}

    def slots(self) -> int:
        """Return how many tasks its machines take side by side."""
        needs = self.needs
        return sum(min(int(has.get(name, 0) / need) for name, need in needs.items()) for has in self._machines())

    def start(self, items: list[Any]) -> ObjectRefGenerator:
        """Run a task on items; return what it tells."""
        assert self._sent is not None
        parcel, sent = self._sent
        # In a list, the task is fetched by those workers only that do not have it yet.
        told: ObjectRefGenerator = self._work.remote(module_path(), [sent], pickle.dumps((parcel, items)))
        return told

    def _start(self, bytes_of_task: int) -> None:
        address = os.environ.get("RAY_ADDRESS") or "local"
        expect_cluster(address)
        new: dict[str, Any] = {"object_store_memory": _STORE_BYTES + 2 * bytes_of_task, "include_dashboard": False}
        before, folder = signal.getsignal(signal.SIGTERM), os.getcwd()
        os.chdir(os.path.abspath(os.sep))  # workers look there for modules first, even for Ray's own
        try:
            with _quiet():
                self.ray.init(
                    address, log_to_driver=False, logging_level="ERROR", **(new if address == "local" else {})
                )
        except (OSError, RuntimeError, ValueError) as error:
            cure = "expected one of the same version, and RAY_AUTH_MODE as it was started with: token, or disabled"
            raise UserError(f"RAY_ADDRESS {address}: {str(error).splitlines()[0]}; {cure}") from None
        finally:
            os.chdir(folder)
            if callable(before):  # Ray has set its own
                signal.signal(signal.SIGTERM, before)

    def _machines(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def _gpus_of_a_task(self) -> float:
        """Return how many, or which share of one where more workers than GPUs are asked for."""
        if self._device != "cuda":
            return 0.0
        gpus = sum(has.get("GPU", 0) for has in self._machines())
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


class _Flight:
    """A task of Ray that is under way, and the items it was given."""

    def __init__(self, told: ObjectRefGenerator, items: Iterable[Any]) -> None:
        self.told, self.given = told, Given(items)
        self.count = len(self.given.items)
        self.ready_since: float | None = None


class _Run:
    """Items that are run side by side.

    Args:
        cluster: where.
        request: what the command asks for.
        workers: how many chunks at a time; None for as many as the cluster takes.
    """

    def __init__(self, cluster: Cluster, request: Request, workers: int | None) -> None:
        self._cluster, self._ray, self._workers = cluster, cluster.ray, workers
        self._apart, self._timeout = request.apart, request.timeout
        self._waiting: deque[Any] = deque()
        self._flights: list[_Flight] = []
        self._lost: Counter[Any] = Counter()
        self._unready = 0
        self._slots, self._look_at = 1, 0.0
        self._pace: float | None = None  # seconds of an item

    def results(self, items: deque[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield each item with its result or :class:`Lost`, as they are finished."""
        self._waiting = items
        try:
            while self._waiting or self._flights:
                self._fill()
                for flight in self._heard():
                    yield from self._listen(flight)
                for flight in [flight for flight in self._flights if self._is_hung(flight)]:
                    self._ray.cancel(flight.told, force=True)
                    yield from self._replace(flight, f"gave no answer in {self._timeout:g} s")
        except BaseException:
            self._cancel()
            raise

    def _heard(self) -> list[_Flight]:
        """Return the tasks that have something to tell, within half a second."""
        told = {flight.told: flight for flight in self._flights}
        if not self._ray.wait(list(told), timeout=_GLANCE_S, fetch_local=False)[0]:
            return []
        every, _ = self._ray.wait(list(told), num_returns=len(told), timeout=0, fetch_local=False)
        return [told[each] for each in every]

    def _fill(self) -> None:
        """Give every worker that the cluster has a chunk."""
        if self._waiting and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_S
            self._slots = max(1, self._cluster.slots())
        most = self._slots if self._workers is None else min(self._slots, self._workers)
        while self._waiting and len(self._flights) < most:
            items = [self._waiting.popleft() for _ in range(self._chunk(most))]
            self._flights.append(_Flight(self._cluster.start(items), items))

    def _chunk(self, workers: int) -> int:
        """Return how many items take the time of a chunk; towards the end fewer, so that all workers end together."""
        if self._apart or not self._pace:
            return 1
        share = -(-len(self._waiting) // (2 * workers))
        return max(1, min(int(_CHUNK_S / self._pace), share))

    def _listen(self, flight: _Flight) -> Iterator[tuple[Any, Any]]:
        """Yield what a task tells next."""
        exceptions = self._ray.exceptions
        try:
            messages = self._ray.get(next(flight.told))
        except StopIteration:
            self._flights.remove(flight)
            self._note_pace(flight)
            return
        except exceptions.RayTaskError as error:
            if isinstance(error, exceptions.TaskCancelledError):
                yield from self._replace(flight, "was cancelled")
                return
            raise _cannot_work(error) from None
        except exceptions.RayError as error:
            yield from self._replace(flight, _describe(error, exceptions))
            return
        if isinstance(messages, _Misplaced):
            self._ray.cancel(flight.told, force=True)
            self._give_back(flight, flight.given.items)
            return
        for message in messages:
            for item, result in flight.given.take(message):
                yield from self._lose(item, result.reason) if isinstance(result, Lost) else [(item, result)]
        if flight.given.pid is not None and flight.ready_since is None:
            flight.ready_since, self._unready = time.monotonic(), 0

    def _note_pace(self, flight: _Flight) -> None:
        if flight.ready_since is not None and not flight.given.items:
            self._pace = (time.monotonic() - flight.ready_since) / flight.count

    def _is_hung(self, flight: _Flight) -> bool:
        return flight.given.is_overdue(None if self._timeout is None else self._timeout + _HELD_S)

    def _replace(self, flight: _Flight, reason: str) -> Iterator[tuple[Any, Any]]:
        """Let others have what a worker that is lost was given."""
        if flight.ready_since is None:
            self._unready += 1
            if self._unready == _MOST_STARTS:
                raise UserError(
                    f"--engine ray: a worker {reason} before it was ready, {_MOST_STARTS} times; "
                    "what is finished is kept: run the same command again with fewer --workers"
                )
            self._give_back(flight, flight.given.items)
            return
        at, others = list(flight.given.items)[:1], list(flight.given.items)[1:]
        self._give_back(flight, others)
        for item in at:  # none where it died after the last
            yield from self._lose(item, reason)

    def _give_back(self, flight: _Flight, items: Iterable[Any]) -> None:
        self._flights.remove(flight)
        self._waiting.extendleft(reversed(list(items)))

    def _lose(self, item: Any, reason: str) -> Iterator[tuple[Any, Any]]:
        """Try an item again that a worker was at, or yield it as lost."""
        if self._apart and self._lost[item] < _MOST_TRIES - 1:
            self._lost[item] += 1
            log.warning("warning: a worker %s; %s is tried again", reason, getattr(item, "name", item))
            self._waiting.appendleft(item)
        else:
            yield item, Lost(reason)

    def _cancel(self) -> None:
        """Let all workers end; those that wait for a training first let it save."""
        for flight in self._flights:
            self._ray.cancel(flight.told, force=not self._apart)
        if self._apart and self._flights:
            log.warning("%d trainings are told to save and end; Ctrl-C ends them at once", len(self._flights))
        end = time.monotonic() + _PATIENCE_S
        while self._apart and self._flights and time.monotonic() < end:
            for flight in self._heard():
                try:
                    self._ray.get(next(flight.told))
                except (StopIteration, self._ray.exceptions.RayError):
                    self._flights.remove(flight)


def _describe(error: Exception, exceptions: Any) -> str:
    """Return in words what became of a worker."""
    if isinstance(error, exceptions.OutOfMemoryError):
        return "was ended by Ray for want of memory on its machine"
    if isinstance(error, exceptions.NodeDiedError | exceptions.LocalRayletDiedError):
        return "was lost with its machine"
    return "died, perhaps for want of memory"


def _cannot_work(error: Any) -> UserError:
    cause = getattr(error, "cause", error)
    return UserError(
        f"--engine ray: a worker on {error.ip}: {type(cause).__name__}: {cause}; "
        "each machine needs the same Python environment at the same path"
    )


@dataclass(frozen=True)
class _Misplaced:
    """In place of messages: the process has begun with other devices than it is given now."""


def _bootstrap() -> Any:
    """Return what a worker runs: a function that Ray sends as it is, since the worker must find our modules first."""

    def bootstrap(path: list[str], sent: list[ObjectRef], call: bytes) -> Iterator[list[Message] | _Misplaced]:
        import sys

        sys.path[:] = path
        from naswot_lightning.execution.ray_core import work

        yield from work(sent[0], call)

    return bootstrap


def work(sent: ObjectRef, call: bytes) -> Iterator[list[Message] | _Misplaced]:
    """Be a worker of Ray for one chunk.

    Args:
        sent: the pickled task, in the object store.
        call: the pickled parcel and items.
    """
    import ray

    parcel, items = pickle.loads(call)  # noqa: S301 - of the command that asked for it
    try:
        worker = worker_for(parcel, lambda: ray.get(sent))
    except Exception as error:  # noqa: BLE001 - raised again by the command
        yield [Failed(sendable(error))]
        return
    if worker.devices != os.environ.get("CUDA_VISIBLE_DEVICES"):
        yield _Misplaced()
        time.sleep(_PATIENCE_S)  # it is ended
        return
    yield from _grouped(worker.run(items), 0.0 if parcel.apart else _HELD_S)


def _grouped(messages: Iterator[Message], seconds: float) -> Iterator[list[Message]]:
    """Yield messages together that come within so many seconds."""
    held: list[Message] = []
    since = -float("inf")
    for message in messages:
        held.append(message)
        if time.monotonic() - since >= seconds:
            yield held
            held, since = [], time.monotonic()
    if held:
        yield held
