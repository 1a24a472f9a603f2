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

from naswot_lightning.analysis.concordance import Array, concordance, untied

Statistic = Callable[[Sequence[float], Sequence[float], Array], Array]

CONFIDENCE = 0.95
RESAMPLES = 2000
_LARGE = 3000  # networks above which there are fewer resamples, and no matrix of pairs
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


def with_the_worst(merits: Array) -> Array:
    """Return merits in which those that are missing (NaN) are below all others, equal to each other.

    >>> with_the_worst(np.array([np.nan, -5.0, 2.0]))
    array([-11.,  -5.,   2.])
    """
    missing = np.isnan(merits)
    lowest = 0.0 if missing.all() else float(np.nanmin(merits))
    return np.where(missing, lowest - 1 - abs(lowest), merits)


def resampled_tau(first: Sequence[float], second: Sequence[float], counts: Array) -> Array:
    """Return Kendall's tau-b in each resample, NaN where all values of one variable are equal.

    Exact, and all resamples at once, in O(n log n) each.

    Args:
        first: n values.
        second: n values.
        counts: (resamples, n), how often each network was drawn.

    >>> resampled_tau([1, 2, 3], [1, 3, 2], np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])).round(4)
    array([0.3333, 1.    ])
    """
    return _ratio(concordance(first, second, counts), untied(first, counts), untied(second, counts))


def resampled_rho(first: Sequence[float], second: Sequence[float], counts: Array) -> Array:
    """Return Spearman's rho in each resample, with mean ranks for equals; arguments as in :func:`resampled_tau`.

    >>> resampled_rho([1, 2, 3], [1, 3, 2], np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]]))
    array([0.5, 1. ])
    """
    if len(first) > _LARGE:
        return _rho_one_by_one(first, second, counts)
    a, b = _centred_ranks(first, counts), _centred_ranks(second, counts)
    return _ratio(*((counts * product).sum(1) for product in (a * b, a * a, b * b)))


def _rho_one_by_one(first: Sequence[float], second: Sequence[float], counts: Array) -> Array:
    """Return rho in each resample, for more networks than a matrix of their pairs has room for."""
    drawn = (np.repeat(np.arange(len(first)), each.astype(int)) for each in counts)
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    values = (_spearman_rho(a[places], b[places]) for places in drawn)
    return np.array([np.nan if value is None else value for value in values])


def _spearman_rho(first: Array, second: Array) -> float | None:
    from scipy.stats import spearmanr

    rho = float(spearmanr(first, second).statistic)
    return None if math.isnan(rho) else rho


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
    return estimate_of(statistic(with_resamples(n)), n)


def with_resamples(n: int) -> Array:
    """Return (1 + resamples, n): each of n networks once, then how often it is drawn in each resample.

    >>> with_resamples(5)[:2]
    array([[1., 1., 1., 1., 1.],
           [0., 2., 1., 1., 1.]])
    """
    return np.concatenate([np.ones((1, n)), resample_counts(n)])


def estimate_of(values: Array, n: int) -> Estimate:
    """Return the estimate that a statistic's values come to; as in :func:`bootstrap`.

    Args:
        values: (1 + resamples,) in the order of :func:`with_resamples`.
        n: networks.
    """
    value, resampled = float(values[0]), values[1:]
    defined = resampled[~np.isnan(resampled)]
    undefined = len(resampled) - len(defined)
    if math.isnan(value):
        return Estimate(None, None, None, n, undefined)
    if undefined > (1 - CONFIDENCE) * len(resampled):
        return Estimate(value, None, None, n, undefined)
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), n, undefined)
