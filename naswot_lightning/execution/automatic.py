"""Processes where they are worth their start."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable, Iterator

from naswot_lightning.execution.base import Lost, R, T, Task, run_item
from naswot_lightning.execution.processes import Processes

_TRIED = 3
_WORTHWHILE_S = 30.0  # a worker takes 3 s to start


class Automatic:
    """Tries a few items here, and runs the rest in processes where that would take longer than half a minute here.

    Args:
        processes: which these would be.
    """

    def __init__(self, processes: Processes) -> None:
        self.processes = processes

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | Lost]]:
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
