"""Best-so-far curves of searches, and their mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Effort = Literal["evaluations", "seconds"]
_POINTS = 400  # of a curve that is drawn
_BAND = (10.0, 90.0)  # percentiles over seeds


@dataclass(frozen=True)
class Curve:
    """The best so far of one search, after each of its candidates.

    Attributes:
        evaluations: that were done, ascending; trainings of a part of the epochs count for that part.
        seconds: that had gone by, ascending; all 0 where they are not known.
        values: of the best so far; None before there is one.
    """

    evaluations: tuple[float, ...]
    seconds: tuple[float, ...]
    values: tuple[float | None, ...]

    @property
    def is_timed(self) -> bool:
        """Whether its seconds are known."""
        return any(self.seconds)

    def effort(self, kind: Effort) -> tuple[float, ...]:
        """Return the evaluations, or the seconds."""
        return self.evaluations if kind == "evaluations" else self.seconds


@dataclass(frozen=True)
class Band:
    """Curves of several seeds.

    Attributes:
        effort: (n,) evaluations or seconds.
        mean: (n,) over seeds.
        low: (n,) 10 % of the seeds are below it.
        high: (n,) 10 % of the seeds are above it.
        seeds: how many there are.
    """

    effort: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: int


def band_of(curves: Sequence[Curve], kind: Effort) -> Band | None:
    """Return the mean and the band of curves, from where all of them have a value to where the last one ends.

    A curve is a staircase: it holds a value until the next one, and its last value when it has ended. None where a
    curve has no value at all, or there are no curves.
    """
    firsts = [_first(curve) for curve in curves]
    begins = [curve.effort(kind)[first] for curve, first in zip(curves, firsts, strict=True) if first is not None]
    if not curves or len(begins) < len(curves):
        return None
    effort = np.linspace(max(begins), max(curve.effort(kind)[-1] for curve in curves), _POINTS)
    values = np.array([_at(curve, kind, effort) for curve in curves])
    low, high = np.percentile(values, _BAND, axis=0)
    return Band(effort, values.mean(0), low, high, len(curves))


def _first(curve: Curve) -> int | None:
    return next((place for place, value in enumerate(curve.values) if value is not None), None)


def _at(curve: Curve, kind: Effort, effort: np.ndarray) -> np.ndarray:
    places = np.searchsorted(curve.effort(kind), effort, side="right") - 1
    return np.array(curve.values, dtype=float)[places]
