"""Seconds of several sides, measured in turn in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

Rows = list[tuple[str, str, str]]  # figure, median, ratio


def medians(sides: Sequence[Callable[[], object]], repeats: int = 3) -> list[float]:
    """Return the median seconds of each side, run in turn after one warm-up."""
    times: list[list[float]] = [[] for _ in sides]
    for repeat in range(repeats + 1):
        for side, spent in zip(sides, times, strict=True):
            start = time.perf_counter()
            side()
            if repeat:
                spent.append(time.perf_counter() - start)
    return [statistics.median(spent) for spent in times]
