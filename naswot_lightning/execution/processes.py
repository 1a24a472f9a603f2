"""Tasks side by side in processes of this machine, one thread each.

The layers of one network are small: two threads that share each of them wait for one another (24 ms a network of
NAS-Bench-201 at 16x16 in bf16 on two cores, 29 ms with both cores on one network), and many threads wait most.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import R, T, Task

MOST_WORKERS = 16  # each holds torch and the feature maps of one network, half a gigabyte
_AHEAD = 2  # items a worker has been given, so that none waits for this process


class Processes:
    """Runs items in processes, which end with this one.

    Args:
        count: of processes.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield each item with its result, as they are finished.

        Raises:
            UserError: a worker died, or the task cannot be sent to one.
        """
        try:
            sent = pickle.dumps(task)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(f"--workers {self.count}: {error}; use --workers 1") from None
        waiting = iter(items)
        first = list(islice(waiting, self.count))  # no more workers than items
        workers = {worker.answers: worker for worker in (_Worker(sent) for _ in first)}
        try:
            for worker, item in zip(workers.values(), first, strict=True):
                worker.give(item)
            while busy := [answers for answers, worker in workers.items() if worker.given]:
                for worker in workers.values():
                    worker.give_more(waiting)
                for answers in wait(busy):
                    yield workers[answers].take()  # type: ignore[index]
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise UserError(
                f"one of {self.count} workers died, perhaps for want of memory; what is finished is kept: run the same "
                "command again with fewer --workers"
            ) from None
        finally:
            for worker in workers.values():
                worker.end()


@contextmanager
def _safe_start() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach, since it is ours to answer, and that takes libraries from ours.

    The folder that the user stands in, which may hold somebody's ``signal.py``, does not come before them.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    mask = hasattr(signal, "pthread_sigmask")  # not on Windows
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if mask else set()
    try:
        yield
    finally:
        if mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


class _Worker:
    """One process, what it was given, and the ends of its two pipes that this process holds."""

    def __init__(self, task: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        items, self._items = context.Pipe(duplex=False)
        self.answers, answers = context.Pipe(duplex=False)
        self.given: list[Any] = []
        self._process: BaseProcess = context.Process(target=_work, args=(task, items, answers), daemon=True)
        with _safe_start():
            self._process.start()
        items.close()
        answers.close()  # the worker's end alone is open: its death ends the pipe

    def give(self, item: Any) -> None:
        self._items.send(item)
        self.given.append(item)

    def give_more(self, waiting: Iterator[Any]) -> None:
        for item in islice(waiting, max(0, _AHEAD - len(self.given))):
            self.give(item)

    def take(self) -> tuple[Any, Any]:
        """Return the next item with its result; EOFError where the worker has died."""
        result, error = self.answers.recv()
        if error is not None:
            raise error
        return self.given.pop(0), result

    def end(self) -> None:
        if self.given:
            self._process.terminate()  # its results are wanted no more
        self._items.close()
        self._process.join()
        self.answers.close()


def _work(sent: bytes, items: Connection, answers: Connection) -> None:
    """Be a worker: answer items with (result, None) or (None, error) until there are no more, or nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    with suppress(EOFError, BrokenPipeError):  # the parent is gone, or has no more
        task = _settle(sent)
        while True:
            item = items.recv()
            answer: tuple[Any, Exception | None]
            try:
                answer = task(item), None
            except Exception as error:  # noqa: BLE001 - raised again where the result was wanted
                answer = None, error
            answers.send(answer)


def _settle(sent: bytes) -> Task[Any, Any]:
    import gc

    from naswot_lightning.execution.tuning import tune_process

    tune_process()
    import torch

    torch.set_num_threads(1)
    task: Task[Any, Any] = pickle.loads(sent)  # noqa: S301 - of our own parent
    gc.freeze()  # torch's own objects need not be searched for garbage: a quarter of the time to build a network
    task.prepare()
    return task
