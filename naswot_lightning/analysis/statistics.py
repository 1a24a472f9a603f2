"""Rank correlations and their bootstrap intervals.

All intervals are percentile bootstrap intervals over networks (Efron 1979): networks are drawn with replacement,
always the same draws for the same number of networks, so that two correlations are compared on the same resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Sequence[float], Sequence[float], Array], Array]

CONFIDENCE = 0.95
RESAMPLES = 2000
_LARGE = 3000  # networks above which a resample costs O(n log n) for lack of memory, and there are fewer of them
_FEWER_RESAMPLES = 200
SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap interval.

    Attributes:
        value: None where it is not defined: fewer than two networks, or all of them equal.
        low: lower end of the interval, or None where too many resamples have no value.
        high: upper end.
        n: networks.
        undefined_resamples: resamples in which the statistic is not defined; they are left out.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    undefined_resamples: int

    def __str__(self) -> str:
        if self.value is None:
            return "not defined"
        return f"{self.value:.2f} {self.interval}" if self.low is not None else f"{self.value:.2f}"

    @property
    def interval(self) -> str:
        """The interval as text.

        >>> Estimate(0.5, 0.25, 0.75, n=20, undefined_resamples=0).interval
        '[0.25, 0.75]'
        """
        return "-" if self.low is None else f"[{self.low:.2f}, {self.high:.2f}]"


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Kendall's tau-b, or None where it is not defined (fewer than two values, or all equal).

    In O(n log n), for rankings of any length; :func:`resampled_tau` gives the same in each of many resamples.

    >>> kendall_tau([1, 2, 3, 4, 5], [1, 3, 2, 5, 4])
    0.6
    >>> kendall_tau([1, 1, 1], [1, 2, 3]) is None
    True
    """
    from scipy.stats import kendalltau

    if len(first) < 2:
        return None
    tau = float(kendalltau(first, second).statistic)
    return None if math.isnan(tau) else tau


def resampled_tau(first: Sequence[float], second: Sequence[float], counts: Array) -> Array:
    """Return Kendall's tau-b in each resample, NaN where all values of one variable are equal.

    Exact, and all resamples at once, in O(n^2) each: as many calls of :func:`kendall_tau` take seconds.

    Args:
        first: n values.
        second: n values.
        counts: (resamples, n), how often each network was drawn.

    >>> resampled_tau([1, 2, 3], [1, 3, 2], np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])).round(4)
    array([0.3333, 1.    ])
    """
    if len(first) > _LARGE:
        return _one_by_one(kendall_tau, first, second, counts)
    a, b = _signs(first), _signs(second)
    return _ratio(_pairs(a * b, counts), _pairs(np.abs(a), counts), _pairs(np.abs(b), counts))


def resampled_rho(first: Sequence[float], second: Sequence[float], counts: Array) -> Array:
    """Return Spearman's rho in each resample, with mean ranks for equals; arguments as in :func:`resampled_tau`.

    >>> resampled_rho([1, 2, 3], [1, 3, 2], np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]]))
    array([0.5, 1. ])
    """
    if len(first) > _LARGE:
        return _one_by_one(_spearman_rho, first, second, counts)
    a, b = _centred_ranks(first, counts), _centred_ranks(second, counts)
    return _ratio(*((counts * product).sum(1) for product in (a * b, a * a, b * b)))


def _one_by_one(
    statistic: Callable[[Sequence[float], Sequence[float]], float | None],
    first: Sequence[float],
    second: Sequence[float],
    counts: Array,
) -> Array:
    """Return a statistic of each resample, for more networks than a matrix of their pairs has room for."""
    drawn = (np.repeat(np.arange(len(first)), each.astype(int)) for each in counts)
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    values = (statistic(a[places], b[places]) for places in drawn)  # type: ignore[arg-type]
    return np.array([np.nan if value is None else value for value in values])


def _spearman_rho(first: Sequence[float], second: Sequence[float]) -> float | None:
    from scipy.stats import spearmanr

    rho = float(spearmanr(first, second).statistic)
    return None if math.isnan(rho) else rho


def _signs(values: Sequence[float]) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return np.sign(array[:, None] - array[None, :])


def _pairs(matrix: Array, counts: Array) -> Array:
    """Return the sum of ``matrix`` over all pairs of drawn networks: w' M w for each row w of ``counts``."""
    return np.asarray(((counts @ matrix) * counts).sum(1))


def _centred_ranks(values: Sequence[float], counts: Array) -> Array:
    array = np.asarray(values, dtype=np.float64)
    below = (array[None, :] < array[:, None]) + 0.5 * (array[None, :] == array[:, None])
    return np.asarray(counts @ below.T - counts.sum(1, keepdims=True) / 2)


def _ratio(joint: Array, first: Array, second: Array) -> Array:
    scale = np.sqrt(first * second)
    return np.divide(joint, scale, out=np.full_like(scale, np.nan), where=scale > 0)


@lru_cache(maxsize=8)
def resample_counts(n: int) -> Array:
    """Return (resamples, n): how often each of n networks is drawn in each resample; the same at every call.

    >>> resample_counts(5).shape
    (2000, 5)
    >>> resample_counts(5)[0]
    array([0., 2., 1., 1., 1.])
    """
    resamples = _FEWER_RESAMPLES if n > _LARGE else RESAMPLES
    drawn = np.random.default_rng(SEED).integers(0, n, (resamples, n))
    counts = np.zeros((resamples, n))
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1.0)
    counts.setflags(write=False)
    return counts


def describe_method(n: int) -> dict[str, str | int | float]:
    """Return how intervals of n networks are made, as files say it."""
    return {
        "interval": "percentile bootstrap over networks",
        "confidence": CONFIDENCE,
        "resamples": _FEWER_RESAMPLES if n > _LARGE else RESAMPLES,
        "seed": SEED,
    }


def estimate(statistic: Statistic, first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return a rank correlation with its interval.

    >>> print(estimate(resampled_tau, [1, 2, 3, 4, 5, 6, 7, 8], [2, 1, 3, 4, 6, 5, 7, 8]))
    0.86 [0.50, 1.00]
    """
    return bootstrap(lambda counts: statistic(first, second, counts), len(first))


def bootstrap(statistic: Callable[[Array], Array], n: int) -> Estimate:
    """Return a statistic of n networks with its interval.

    Resamples without a value are left out. More of them than an interval leaves outside would leave its ends to
    chance: then there is no interval.

    Args:
        statistic: of counts (resamples, n) its value in each resample, NaN where it is not defined.
        n: networks.
    """
    if n < 2:
        return Estimate(None, None, None, n, 0)
    value, resampled = float(statistic(np.ones((1, n)))[0]), statistic(resample_counts(n))
    defined = resampled[~np.isnan(resampled)]
    undefined = len(resampled) - len(defined)
    if math.isnan(value):
        return Estimate(None, None, None, n, undefined)
    if undefined > (1 - CONFIDENCE) * len(resampled):
        return Estimate(value, None, None, n, undefined)
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), n, undefined)
