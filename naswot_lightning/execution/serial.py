"""One task after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from naswot_lightning.execution.base import Lost, R, T, Task, run_item


class Serial:
    """Runs items in their order, here.

    >>> class Square:
    ...     def prepare(self) -> None: ...
    ...     def __call__(self, item: int) -> int:
    ...         return item**2
    >>> list(Serial().run(Square(), [2, 3]))
    [(2, 4), (3, 9)]
    """

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | Lost]]:
        """Yield each item with its result."""
        task.prepare()
        for item in items:
            yield item, run_item(task, item)
