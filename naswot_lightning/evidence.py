"""The evidence for a score: its rank correlation with accuracy, beside that of plain size.

All intervals are percentile bootstrap intervals over networks (Efron 1979): networks are drawn with replacement,
always the same draws for the same number of networks, so that two correlations are compared on the same resamples.
Simulated (normal values, true tau 0.5 and 0.7, 500 draws each): for 8 to 40 networks an interval holds the true tau in
95 to 98 %, for 5 in 77 to 90 %; of two equally good predictors one is said to beat the other in at most 3.4 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from naswot_lightning.results import Network

Array = NDArray[np.float64]
Statistic = Callable[[Sequence[float], Sequence[float], Array], Array]
Outcome = Literal["beats", "loses", "cannot be told apart", "too little evidence"]

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 0
MIN_NETWORKS = 5  # of four or fewer networks a tau is one of a handful of values
_SPREAD = 20  # networks to train for an interval that says something
_DECIMALS = 6  # an accuracy's: equal means over seeds differ in the last bits, one image in far more than these

PREDICTORS = {
    "score_init": "score at init",
    "score_final": "score after training",
    "params": "parameters",
    "macs": "MACs",
}
_SIZES = ("params", "macs")


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap interval.

    Args:
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
        """The interval as text."""
        return "-" if self.low is None else f"[{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Verdict:
    """Whether the score beats plain size.

    Args:
        outcome: what the interval of the difference says.
        sentence: the outcome in words, with its figures.
        size: the size that correlates better with accuracy, or None where neither is defined.
        difference: Kendall's tau of the score less that of the size, on the same resamples.
    """

    outcome: Outcome
    sentence: str
    size: str | None
    difference: Estimate | None


def kendall(first: Sequence[float], second: Sequence[float], counts: Array) -> Array:
    """Return Kendall's tau-b in each resample, NaN where all values of one variable are equal.

    Exact, as scipy's; all resamples at once, where scipy takes seconds for as many calls.

    Args:
        first: n values.
        second: n values.
        counts: (resamples, n), how often each network was drawn.
    """
    a, b = _signs(first), _signs(second)
    return _ratio(_pairs(a * b, counts), _pairs(np.abs(a), counts), _pairs(np.abs(b), counts))


def spearman(first: Sequence[float], second: Sequence[float], counts: Array) -> Array:
    """Return Spearman's rho in each resample, with mean ranks for equals; arguments as in :func:`kendall`."""
    a, b = _centred_ranks(first, counts), _centred_ranks(second, counts)
    return _ratio(*((counts * product).sum(1) for product in (a * b, a * a, b * b)))


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
    """Return (RESAMPLES, n): how often each of n networks is drawn in each resample; the same at every call."""
    drawn = np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n))
    counts = np.zeros((RESAMPLES, n))
    np.add.at(counts, (np.arange(RESAMPLES)[:, None], drawn), 1.0)
    counts.setflags(write=False)
    return counts


def estimate(statistic: Statistic, first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return a rank correlation with its interval."""
    n = len(first)
    if n < 2:
        return Estimate(None, None, None, n, 0)
    return _summary(statistic(first, second, np.ones((1, n))), statistic(first, second, resample_counts(n)), n)


def _summary(value: Array, resampled: Array, n: int) -> Estimate:
    """Return the estimate of a value and its resamples.

    Resamples without a value are left out. More of them than an interval leaves outside would leave its ends to
    chance: then there is no interval.
    """
    defined = resampled[~np.isnan(resampled)]
    undefined = len(resampled) - len(defined)
    if np.isnan(value[0]):
        return Estimate(None, None, None, n, undefined)
    if undefined > (1 - CONFIDENCE) * len(resampled):
        return Estimate(float(value[0]), None, None, n, undefined)
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(value[0]), float(low), float(high), n, undefined)


def correlations(networks: Sequence[Network], accuracy: str) -> dict[str, dict[str, Estimate]]:
    """Return Kendall's tau and Spearman's rho with an accuracy, of the score at init and after, parameters and MACs.

    Args:
        networks: usable ones, one point each: the mean over its seeds.
        accuracy: "test_acc" or "best_val_acc"; networks without it are left out.
    """
    return {
        name: {
            "kendall_tau": estimate(kendall, *_points(networks, name, accuracy)),
            "spearman_rho": estimate(spearman, *_points(networks, name, accuracy)),
        }
        for name in PREDICTORS
    }


def _points(networks: Sequence[Network], name: str, accuracy: str) -> tuple[list[float], list[float]]:
    pairs = [(network.mean(name), network.mean(accuracy)) for network in networks]
    whole = [(x, round(y, _DECIMALS)) for x, y in pairs if x is not None and y is not None]
    return [x for x, _ in whole], [y for _, y in whole]


def judge(networks: Sequence[Network], ranked: int | None = None) -> Verdict:
    """Return whether the score at init beats plain size: the better of parameters and MACs on these networks.

    The size is chosen once, on all networks. That favours size a little, hence never the score.

    Args:
        networks: usable ones.
        ranked: how many different networks the ranking holds, for the advice; None where there is no ranking.
    """
    n = len(networks)
    scores, accuracies = _points(networks, "score_init", "test_acc")
    sizes = {name: estimate(kendall, *_points(networks, name, "test_acc")) for name in _SIZES}
    defined = {name: each for name, each in sizes.items() if each.value is not None and each.n == n}
    size = max(defined, key=lambda name: defined[name].value or 0.0, default=None)
    if n < MIN_NETWORKS:
        return _too_little(f"{_plural(n)} {'is' if n == 1 else 'are'} too few", n, ranked, size)
    if size is None:
        return _too_little(f"the {n} networks are equal in size or in test accuracy", n, ranked, size)
    counts = resample_counts(n)
    measured = (scores, accuracies), _points(networks, size, "test_acc")
    value, resampled = (_difference(*measured, each) for each in (np.ones((1, n)), counts))
    return _verdict(estimate(kendall, *measured[0]), sizes[size], size, _summary(value, resampled, n), ranked)


def _difference(score: tuple[list[float], list[float]], size: tuple[list[float], list[float]], counts: Array) -> Array:
    # Equal taus over different numbers of ties may differ in the last bit, which must not decide a verdict.
    return np.round(kendall(*score, counts) - kendall(*size, counts), 12)


def _verdict(score: Estimate, rival: Estimate, size: str, difference: Estimate, ranked: int | None) -> Verdict:
    if difference.value is None:
        return _too_little(f"the {score.n} networks have equal scores", score.n, ranked, size)
    if difference.low is None or difference.high is None:
        reason = f"{score.n} networks with so many equal scores, sizes or accuracies give no interval"
        return _too_little(reason, score.n, ranked, size)
    outcome: Outcome = "beats" if difference.low > 0 else "loses" if difference.high < 0 else "cannot be told apart"
    said = {
        "beats": "The score at init beats plain size on this evidence",
        "loses": "The score at init loses to plain size on this evidence",
        "cannot be told apart": f"The score at init and plain size cannot be told apart on {score.n} networks",
    }
    figures = (
        f"Kendall tau with test accuracy {score} against {rival} for {PREDICTORS[size]}, "
        f"difference {difference.value:+.2f} {difference.interval} "
        f"(95 % intervals, paired bootstrap, n = {score.n} networks)"
    )
    return Verdict(outcome, f"{said[outcome]}: {figures}.", size, difference)


def _too_little(reason: str, n: int, ranked: int | None, size: str | None) -> Verdict:
    sentence = f"Too little evidence to say whether the score beats plain size: {reason}; {_advice(n, ranked)}."
    return Verdict("too little evidence", sentence, size, None)


def _advice(n: int, ranked: int | None) -> str:
    if ranked is not None and ranked < max(n + 1, MIN_NETWORKS):
        return f"the ranking has {_plural(ranked)}: rank more with search.py --samples, then train a spread of them"
    return f"train more of the ranking with train.py --select spread --top {min(_SPREAD, ranked or _SPREAD)}"


def _plural(n: int) -> str:
    return f"{n} network{'' if n == 1 else 's'}"


def is_top_only(networks: Sequence[Network], ranked: Sequence[str] | None) -> bool:
    """Return whether the networks are a ranking's top and not all of it.

    Args:
        networks: all of a group, diverged ones among them.
        ranked: canonical names of the ranking's different networks, best first; without it ranks 1 to n are a top.
    """
    if ranked is None:
        ranks = [network.rank for network in networks]
        return len(ranks) > 1 and set(ranks) == set(range(1, len(ranks) + 1))
    names = {network.canonical for network in networks}
    return 1 < len(names) < len(ranked) and names == set(ranked[: len(names)])


def note_on_range(networks: Sequence[Network], ranked: Sequence[str] | None) -> str | None:
    """Return a warning where the networks are a ranking's top, else None; arguments as in :func:`is_top_only`."""
    if not is_top_only(networks, ranked):
        return None
    whole = "a ranking" if ranked is None else f"a ranking of {len(ranked)}"
    return (
        f"The picks are the top {len(networks)} of {whole}, which says little about the whole (restricted range); "
        "--select spread trains networks of all ranks."
    )
