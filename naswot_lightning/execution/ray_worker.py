"""What runs in a process of Ray: one chunk of items, told of one by one."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from naswot_lightning.execution.remote import Failed, Message, sendable, worker_for

if TYPE_CHECKING:
    from ray import ObjectRef

HELD_S = 0.25  # that results wait for one another, so that many workers do not swamp the command
_PATIENCE_S = 75.0  # for one that has begun with other devices to be ended


@dataclass(frozen=True)
class Misplaced:
    """In place of messages: the process has begun with other devices than it is given now."""


def make_bootstrap() -> Any:
    """Return what a worker runs: a function that Ray sends as it is, since the worker must find our modules first."""

    def bootstrap(path: list[str], sent: list[ObjectRef], call: bytes) -> Iterator[list[Message] | Misplaced]:
        import sys

        sys.path[:] = path
        from naswot_lightning.execution.ray_worker import work

        yield from work(sent[0], call)

    return bootstrap


def work(sent: ObjectRef, call: bytes) -> Iterator[list[Message] | Misplaced]:
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
        yield Misplaced()
        time.sleep(_PATIENCE_S)  # it is ended before
        return
    yield from _grouped(worker.run(dict(enumerate(items))), 0.0 if parcel.runs_subprocess else HELD_S)


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
