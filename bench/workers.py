"""What workers cost beside their work: their start, a task's way to them and back, and what two of them gain."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.clock import Rows
from bench.rows import ANY_SIZE, Free, architectures
from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import Executor, R, ResourceRequest, T, Task, WorkerFailure
from naswot_lightning.execution.local import ProcessExecutor
from naswot_lightning.registry import resolve
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.searching.algorithms.random import Listed
from naswot_lightning.searching.loop import Loop
from naswot_lightning.spaces import get_space
from naswot_lightning.storage.score_rows import ScoreRows

TASKS, TASK_S = 40, 1.0
RESULTS = 50_000
NETWORKS, BATCH = 60, 128
TURNS = 3


@dataclass(frozen=True)
class Span:
    """When a worker was at an item: its process, and the seconds of a clock that all processes have in common."""

    worker: int
    start: float
    end: float


class Sleep:
    """A task of so many seconds, which needs no core.

    Args:
        seconds: of an item.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def prepare(self) -> None:
        """Do nothing."""

    def __call__(self, item: object) -> None:
        """Wait."""
        time.sleep(self.seconds)


class Clocked:
    """A task whose results are when it was run.

    Args:
        task: what is run.
    """

    def __init__(self, task: Task[Any, Any]) -> None:
        self.task = task

    def prepare(self) -> None:
        """Get the task ready."""
        self.task.prepare()

    def __call__(self, item: object) -> Span:
        """Run the task."""
        start = time.monotonic()
        self.task(item)
        return Span(os.getpid(), start, time.monotonic())


def spans(
    task: Task[Any, Any], items: Iterable[Any], workers: int, environments: Sequence[Mapping[str, str]] = ({},)
) -> tuple[float, list[list[Span]]]:
    """Return when the workers were started, and for each of them when it was at its items, in their order."""
    start = time.monotonic()
    found: dict[int, list[Span]] = {}
    for _, span in ProcessExecutor(workers, environments).run(Clocked(task), items):
        assert isinstance(span, Span)
        found.setdefault(span.worker, []).append(span)
    return start, [sorted(each, key=lambda span: span.start) for each in found.values()]


def fan_out_row(tasks: int = TASKS, seconds: float = TASK_S) -> tuple[str, str, str]:
    """Return what a task takes between two others of its worker, beyond its own seconds."""
    _, workers = spans(Sleep(seconds), range(tasks), 2)
    shares = [(each[-1].end - each[0].start) / (len(each) * seconds) - 1 for each in workers]
    lost = statistics.mean(shares)
    return f"{tasks} tasks of {seconds:g} s, 2 workers", f"{1e3 * lost * seconds:.2f} ms a task", f"{100 * lost:.3f} %"


def start_rows(networks: Sequence[str]) -> Rows:
    """Return the seconds from the start of a worker to its first result."""
    rows: Rows = []
    for name, task in (("of nothing", Free()), ("a score of NAS-Bench-201", _scores())):
        runs = [spans(task, networks[:1], 1) for _ in range(TURNS)]
        seconds = statistics.median(workers[0][0].end - start for start, workers in runs)
        rows.append((f"start of a worker to its first result, {name}", f"{seconds:.1f} s", ""))
    return rows


def gain_rows(networks: Sequence[str]) -> Rows:
    """Compare networks a second of one scoring worker and of two, in turn, once they are warm."""
    turns = [[rate(spans(_scores(), networks, count)[1]) for count in (1, 2)] for _ in range(TURNS)]
    gain = statistics.median(two / one for one, two in turns)
    one, two = (statistics.median(rates) for rates in zip(*turns, strict=True))
    return [
        (f"scores of NAS-Bench-201, batch {BATCH}, 1 worker", f"{one:.2f} networks/s", "1"),
        ("2 workers", f"{two:.2f} networks/s", f"{gain:.2f} x"),
    ]


def rate(workers: Sequence[Sequence[Span]]) -> float:
    """Return items a second of all workers, without the first of each, which loads and compiles."""
    return sum((len(each) - 1) / (each[-1].end - each[0].end) for each in workers if len(each) > 1)


def _scores() -> ScoreEvaluator:
    return ScoreEvaluator(get_space("nasbench201"), [load_probe("noise", "", BATCH, 0)])


class FromTheFirst:
    """Another executor, whose clock begins with the first result.

    Args:
        executor: the other one.

    Attributes:
        seconds: from there to the last.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.seconds = 0.0

    def run(self, task: Task[T, R], items: Iterable[T]) -> Iterator[tuple[T, R | WorkerFailure]]:
        """Yield each item with its result."""
        start = 0.0
        for each in self._executor.run(task, items):
            start = start or time.perf_counter()
            yield each
            self.seconds = time.perf_counter() - start


def result_row(engine: str, results: int = RESULTS) -> tuple[str, str, str]:
    """Return how many results a second a search takes from two workers and appends."""
    figure = f"results of nothing, taken from 2 workers and appended, --engine {engine}"
    try:
        executor = FromTheFirst(resolve("engine", engine)(ResourceRequest(2, "cpu")))
    except UserError as error:  # it is not installed
        return figure, "-", str(error)
    proposed = list(architectures(results))
    with tempfile.TemporaryDirectory() as name, ScoreRows(Path(name) / "scores.jsonl") as finished:
        Loop("nds_darts", str, Free(), executor, 0, finished).run(Listed(proposed, ANY_SIZE), proposed)
    return figure, f"{(results - 1) / executor.seconds:,.0f} a second", ""


def worker_rows() -> Rows:
    """Return what two workers of this machine cost and gain."""
    rng = random.Random(0)
    networks = [get_space("nasbench201").sample(rng) for _ in range(NETWORKS)]
    return [*start_rows(networks), fan_out_row(), result_row("local"), result_row("ray"), *gain_rows(networks)]
