"""What a score is worth to whoever trains the network it puts first: regret, the share of the best found, nDCG.

Each is exact: the mean over all draws of candidates and over all orders of networks with equal scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from naswot_lightning.analysis.statistics import Array, Estimate, Values, estimate_of, with_resamples

# Of how many random candidates the best by score is trained.
DRAWS = (10, 100, 1000)
# The networks that are to be found: those of the highest accuracies.
TOP_SHARE = 0.05
# The places of a ranking that nDCG looks at.
PLACES = 10
# Of 20 simulated networks 86 to 94 % of the intervals of a regret hold the true one, of 10 networks 76 to 86 %.
MIN_NETWORKS = 20

REGRET = "regret: points of accuracy by which the pick of N random candidates is below the most accurate of them"
AT_RANDOM = "at random"

# Of places from the best on, (resamples, groups of equals), to the weight of all places up to there.
Weight = Callable[[Array], Array]


@dataclass(frozen=True)
class Choice:
    """What the picks by one score are worth on n networks."""

    regret: Mapping[int, Estimate]
    """by N of ``DRAWS``, at most n: the accuracy of the most accurate of N random networks, less that of the one with
    the highest score."""
    top_found: Estimate
    """share of the top 5 % by accuracy that are among as many by score; of scores that know nothing, 0.05."""
    ndcg: Estimate
    """of the first 10 by score, discounted by log2(1 + place); the gain of a network is the share of networks that are
    less accurate. 1 for the accuracy itself; of scores that know nothing, about 0.5. Of equal accuracies no value."""


def table_of(choices: Mapping[str, Choice]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a table of what picks are worth, a row for each way to pick."""
    draws = [each for each in DRAWS if all(each in choice.regret for choice in choices.values())]
    head = ["pick by", *(f"regret, best of {each:,}" for each in draws), "top 5 % found", f"nDCG@{PLACES}"]
    rows = [
        [name, *(f"{each:.2f}" for each in (*map(choice.regret.__getitem__, draws), choice.top_found, choice.ndcg))]
        for name, choice in choices.items()
    ]
    return head, rows


def judge_choices(ranks: Mapping[str, Values], accuracies: Values) -> dict[str, Choice]:
    """Return what picks by scores are worth; nothing of fewer than 20 networks.

    Of each score its (n,) ranks, high is good; (n,) accuracies without NaN. The unit of the regret is theirs.

    >>> judge_choices({"knows all": range(20)}, range(20))["knows all"].ndcg.value
    1.0
    """
    if len(accuracies) < MIN_NETWORKS:
        return {}
    accuracies = np.asarray(accuracies, float)
    n, counts = len(accuracies), with_resamples(len(accuracies))
    by_accuracy = _Order(accuracies, counts)
    best = {draws: by_accuracy.mean(accuracies, _best_of(draws, n)) for draws in DRAWS if draws <= n}
    most = TOP_SHARE * n
    is_top = by_accuracy.share_within(most)
    gains = np.searchsorted(np.sort(accuracies), accuracies) / (n - 1)
    ideal = by_accuracy.mean(gains, _discount)
    found = {}
    for name, each in ranks.items():
        by_score = _Order(np.asarray(each, float), counts)
        regret = {draws: best[draws] - by_score.mean(accuracies, _best_of(draws, n)) for draws in best}
        top_found = by_score.mean(is_top, lambda places: np.minimum(places, most) / most)
        ndcg = np.divide(by_score.mean(gains, _discount), ideal, out=np.full_like(ideal, np.nan), where=ideal > 0)
        # A sum that is 0 to rounding is no -0.00.
        estimates = {draws: estimate_of(np.round(values, 9) + 0.0, n) for draws, values in regret.items()}
        found[name] = Choice(estimates, estimate_of(top_found, n), estimate_of(ndcg, n))
    return found


def _best_of(draws: int, n: int) -> Weight:
    # The best of N networks, drawn with replacement, stands at place i or before with 1 - (1 - i / n)^N.
    return lambda places: 1 - (1 - places / n) ** draws


def _discount(places: Array) -> Array:
    discounts = np.append(0.0, np.cumsum(1 / np.log2(np.arange(2, PLACES + 2))))
    return np.asarray(discounts[np.minimum(places, PLACES).astype(np.intp)])


class _Order:
    """The order of n networks by some values, best first, in each resample of (resamples, n) counts."""

    def __init__(self, values: Array, counts: Array) -> None:
        self._order = np.argsort(-values, kind="stable")
        self._starts = np.flatnonzero(np.diff(-values[self._order], prepend=-np.inf))
        self._counts = counts[:, self._order]
        # (resamples, groups): networks of each group of equals, and the last place that they take.
        self._sizes = np.add.reduceat(self._counts, self._starts, axis=1)
        self._last = np.cumsum(self._sizes, axis=1)

    def mean(self, values: Array, weight: Weight) -> Array:
        """Return the mean of values in each resample, each place by its weight; values are (n,) or (resamples, n)."""
        of_groups = np.add.reduceat(self._counts * values[..., self._order], self._starts, axis=1)
        weights = weight(self._last) - weight(self._last - self._sizes)
        # A group that was not drawn has no place, and no weight.
        return np.asarray((weights * of_groups / np.maximum(self._sizes, 1)).sum(axis=1))

    def share_within(self, most: float) -> Array:
        """Return (resamples, n): the share of each network's copies that stand within the first places."""
        within = np.clip(most - (self._last - self._sizes), 0, self._sizes) / np.maximum(self._sizes, 1)
        groups = np.repeat(np.arange(len(self._starts)), np.diff(self._starts, append=len(self._order)))
        shares = np.empty(self._counts.shape)
        shares[:, self._order] = within[:, groups]
        return shares
