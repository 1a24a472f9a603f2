"""Tasks side by side that each start a process of their own and wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from naswot_lightning.execution.base import Lost, R, Stoppable, T, Task, run_item


class Threads:
    """Runs items in threads, which cost nothing while they wait.

    Where one ends with an error, or this process is interrupted, the others are told to stop where the task is
    :class:`~naswot_lightning.execution.base.Stoppable`.

    Args:
        count: of threads.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | Lost]]:
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
