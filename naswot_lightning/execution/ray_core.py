"""Tasks on a cluster of Ray, or on one of this machine alone; of Ray nothing but its core is used."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import Executor, R, ResourceRequest, T, Task, WorkerFailure
from naswot_lightning.execution.ray_cluster import Cluster, import_ray
from naswot_lightning.execution.ray_worker import HELD_S, Misplaced
from naswot_lightning.execution.remote import PendingItems, pack

if TYPE_CHECKING:
    from ray import ObjectRefGenerator

_CHUNK_S = 1.5  # that a chunk of items takes: a hundred times what it costs to send
_GLANCE_S = 0.5  # between looks for workers that hang
_MOST_TRIES = 3  # of a training whose worker is lost
_MOST_STARTS = 3  # of workers that die before they are ready, one after the other
_PATIENCE_S = 75.0  # for trainings that are told to save

log = logging.getLogger(__name__)


def ray_executor(request: ResourceRequest) -> Executor:
    """Return what runs tasks on the cluster of ``RAY_ADDRESS``, or on one of this machine that it starts.

    Raises:
        UserError: Ray is not installed, or a device is asked for by its number.
    """
    if request.device.index is not None:
        raise UserError(f"--device {request.device}: Ray chooses among the GPUs; use --device {request.device.type}")
    return RayTasks(Cluster(import_ray(), request), request)


class RayTasks:
    """Runs chunks of items as tasks of Ray, or each item as one where it starts a process.

    A chunk tells of each item as it is finished. Where its worker dies or hangs, the others of its items go elsewhere,
    and the item that it was at is tried once more when all others are finished, with none beside it that could want
    the same memory. A training is tried again at once, up to three times in all.

    Args:
        cluster: where.
        request: what the command asks for.
    """

    def __init__(self, cluster: Cluster, request: ResourceRequest) -> None:
        self._cluster, self._request = cluster, request

    def __enter__(self) -> RayTasks:
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the cluster: nothing more is run."""
        self._cluster.close()

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
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
                if isinstance(result, WorkerFailure) and not self._request.runs_subprocess:
                    log.warning("warning: a worker %s; what it was at is tried again at the end", result.reason)
                    suspects.append(item)
                else:
                    yield item, result
            for suspect in suspects:
                yield from _Run(self._cluster, self._request, 1).results(deque([suspect]))
        except BaseException:
            self._cluster.close()
            raise


class _Flight:
    """A task of Ray that is under way, and the items it was given."""

    def __init__(self, told: ObjectRefGenerator, items: Iterable[Any]) -> None:
        self.told, self.given = told, PendingItems(items)
        self.count = len(self.given.left)
        self.ready_since: float | None = None


class _Run:
    """Items that are run side by side.

    Args:
        cluster: where.
        request: what the command asks for.
        workers: how many chunks at a time; None for as many as the cluster takes.
    """

    def __init__(self, cluster: Cluster, request: ResourceRequest, workers: int | None) -> None:
        self._cluster, self._ray, self._workers = cluster, cluster.ray, workers
        self._apart, self._timeout = request.runs_subprocess, request.timeout
        self._waiting: deque[Any] = deque()
        self._flights: list[_Flight] = []
        self._lost: Counter[Any] = Counter()
        self._unready = 0
        self._pace: float | None = None  # seconds of an item

    def results(self, items: deque[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield each item with its result or :class:`WorkerFailure`, as they are finished."""
        self._waiting = items
        try:
            while self._waiting or self._flights:
                if (fault := self._cluster.fault()) is not None:
                    self._flights.clear()  # nobody is there to be told to end
                    raise UserError(f"--engine ray: {fault}; what is finished is kept: run the same command again")
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
        slots = max(1, self._cluster.slots())
        most = slots if self._workers is None else min(slots, self._workers)
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
        if isinstance(messages, Misplaced):
            self._ray.cancel(flight.told, force=True)
            self._give_back(flight, flight.given.left.values())
            return
        for message in messages:
            for item, result in flight.given.take(message):
                yield from self._lose(item, result.reason) if isinstance(result, WorkerFailure) else [(item, result)]
        if flight.given.pid is not None and flight.ready_since is None:
            flight.ready_since, self._unready = time.monotonic(), 0

    def _note_pace(self, flight: _Flight) -> None:
        if flight.ready_since is not None and not flight.given.left:
            self._pace = (time.monotonic() - flight.ready_since) / flight.count

    def _is_hung(self, flight: _Flight) -> bool:
        return flight.given.is_overdue(None if self._timeout is None else self._timeout + HELD_S)

    def _replace(self, flight: _Flight, reason: str) -> Iterator[tuple[Any, Any]]:
        """Let others have what a worker that is lost was given."""
        if flight.ready_since is None:
            self._unready += 1
            if self._unready == _MOST_STARTS:
                raise UserError(
                    f"--engine ray: a worker {reason} before it was ready, {_MOST_STARTS} times; "
                    "what is finished is kept: run the same command again with fewer --workers"
                )
            self._give_back(flight, flight.given.left.values())
            return
        left = list(flight.given.left.values())
        at, others = left[:1], left[1:]
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
            yield item, WorkerFailure(reason)

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
