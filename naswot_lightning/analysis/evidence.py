"""The evidence for a score: its rank correlation with accuracy and with size, and whether it beats size.

Beside it: what picks gain over random candidates of the same search.

Of the bootstrap intervals, simulated (normal values, true tau 0.5 and 0.7, 500 draws each): for 8 to 40 networks an
interval holds the true tau in 95 to 98 %, for 5 in 77 to 90 %; of two equally good predictors one is said to beat the
other in at most 3.4 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from naswot_lightning.analysis.choosing import AT_RANDOM, Choice, judge_choices
from naswot_lightning.analysis.results import CONTROL, Group, GroupSettings, Network
from naswot_lightning.analysis.statistics import (
    CONFIDENCE,
    Array,
    Estimate,
    bootstrap,
    estimate,
    estimate_of,
    kendall_tau,
    resampled_rho,
    resampled_tau,
    with_resamples,
)
from naswot_lightning.columns import MACS, PARAMS, SCORE_FINAL, SCORE_INIT, SIZES, TEST_ACC
from naswot_lightning.console import counted

if TYPE_CHECKING:
    import pandas as pd

Outcome = Literal["beats", "loses", "cannot be told apart", "too little evidence"]
# Values of a predictor, and accuracies.
Points = tuple[list[float], list[float]]

# Of four or fewer networks a tau is one of a handful of values.
MIN_NETWORKS = 5
# Networks to train for an interval that says something.
_SPREAD = 20
# Equal mean accuracies over seeds differ in the last bits; one image more or less differs far above these.
ACCURACY_DECIMALS = 6
# Equal taus over different numbers of ties may differ in the last bit, which must not decide a verdict.
TAU_DECIMALS = 12

PREDICTORS = (SCORE_INIT, SCORE_FINAL, PARAMS, MACS)
_SIZES = {column.name: column for column in (PARAMS, MACS)}


@dataclass(frozen=True)
class NetworksWithAccuracy:
    """The n networks of a run whose accuracies are known."""

    space: str
    images: str
    """the data set of the mini-batch that scored them."""
    source: str
    """which accuracy it is."""
    architectures: tuple[str, ...]
    """of the networks that were scored or trained, without dead branches where the run has none."""
    accuracies: np.ndarray
    """(n,) percent."""
    scores: Mapping[str, np.ndarray]
    """by name, that which ranks first; (n,) NaN where one is missing."""
    sizes: Mapping[str, np.ndarray]
    """parameters and multiply-accumulates by name; (n,) NaN where one is not known."""
    columns: Mapping[str, np.ndarray]
    """others of the ranking by name, such as a latency; (n,) NaN where one is not known."""


@dataclass(frozen=True)
class Correlation:
    """Both rank correlations of one predictor with an accuracy."""

    kendall_tau: Estimate
    spearman_rho: Estimate


@dataclass(frozen=True)
class Verdict:
    """Whether the score beats model size."""

    outcome: Outcome
    """what the interval of the difference says."""
    sentence: str
    """the outcome in words, with its numbers."""
    size: str | None
    """the size that correlates better with accuracy, or None where neither is defined."""
    difference: Estimate | None
    """Kendall's tau of the score less that of the size, on the same resamples."""


def correlations(networks: Sequence[Network]) -> dict[str, Correlation]:
    """Return the correlations of the score at init and after, of parameters and of MACs with test accuracy, by name.

    A network is one point, the mean over its seeds. One without the accuracy is left out.
    """
    points = {column.name: _points(networks, column.name) for column in PREDICTORS}
    return {
        name: Correlation(estimate(resampled_tau, *each), estimate(resampled_rho, *each))
        for name, each in points.items()
    }


def _points(networks: Sequence[Network], name: str) -> Points:
    pairs = [(network.mean(name), network.mean(TEST_ACC.name)) for network in networks]
    whole = [(x, round(y, ACCURACY_DECIMALS)) for x, y in pairs if x is not None and y is not None]
    return [x for x, _ in whole], [y for _, y in whole]


def judge(networks: Sequence[Network], ranked: int | None = None) -> Verdict:
    """Return whether the score at init beats model size: the better of parameters and MACs on these networks.

    The networks are usable ones; ``ranked`` is how many the ranking holds, for the advice, None where there is none.
    """
    n = len(networks)
    points = {name: _points(networks, name) for name in (SCORE_INIT.name, *_SIZES)}
    taus = {name: estimate(resampled_tau, *each) for name, each in points.items()}
    defined = {name: taus[name].value or 0.0 for name in _SIZES if taus[name].value is not None and taus[name].n == n}
    # Chosen once, on all networks, not in each resample: that favours size a little, hence never the score.
    size = max(defined, key=lambda name: defined[name], default=None)
    difference = None
    if size is not None:
        score, rival = points[SCORE_INIT.name], points[size]

        def gain(counts: Array) -> Array:
            # Paired: both taus are of the same resamples.
            return np.round(resampled_tau(*score, counts) - resampled_tau(*rival, counts), TAU_DECIMALS)

        difference = bootstrap(gain, len(score[0]))
    if n < MIN_NETWORKS:
        reason = f"{counted(n, 'network')} {'is' if n == 1 else 'are'} too few"
    elif size is None or difference is None:
        reason = f"the {n} networks are equal in size or in test accuracy"
    elif difference.value is None:
        reason = f"the {n} networks have equal scores"
    elif difference.low is None or difference.high is None:
        reason = f"{n} networks with so many equal scores, sizes or accuracies give no interval"
    else:
        outcome = outcome_of(difference)
        said = {
            "beats": "The score at init beats model size on this evidence",
            "loses": "The score at init loses to model size on this evidence",
            "cannot be told apart": f"The score at init and model size cannot be told apart on {n} networks",
        }
        numbers = (
            f"Kendall tau with test accuracy {taus[SCORE_INIT.name]} against {taus[size]} for {_SIZES[size].label}, "
            f"difference {difference.value:+.2f} [{difference.low:.2f}, {difference.high:.2f}] "
            f"(95 % intervals, paired bootstrap, n = {n} networks)"
        )
        power = f" {describe_power(difference)}" if outcome == "cannot be told apart" else ""
        return Verdict(outcome, f"{said[outcome]}: {numbers}.{power}".rstrip(), size, difference)
    advice = f"train more of the ranking with naswot train --select spread --top {min(_SPREAD, ranked or _SPREAD)}"
    if ranked is not None and ranked < max(n + 1, MIN_NETWORKS):
        held = counted(ranked, "network")
        advice = f"the ranking has {held}: rank more with naswot search --samples, then train a spread of them"
    sentence = f"Too little evidence to say whether the score beats model size: {reason}; {advice}."
    return Verdict("too little evidence", sentence, size, None)


def choices_of(networks: Sequence[Network], size: str | None) -> dict[str, Choice]:
    """Return what picks by the ranking, by a size and at random are worth, in points of test accuracy."""
    by = {"ranking": [-float(network.rank or 0) for network in networks]}
    if size is not None:
        by[_SIZES[size].label] = [network.mean(size) or 0.0 for network in networks]
    by[AT_RANDOM] = [0.0] * len(networks)
    return judge_choices(by, [100 * (network.mean(TEST_ACC.name) or 0.0) for network in networks])


def say_better_score(first: str, scores: Mapping[str, np.ndarray], accuracies: np.ndarray) -> str | None:
    """Return in one line which other score ranks (n,) networks best, where it does better than the first; else None.

    Of each score its (n,) values, high is good; the networks that lack one are left out.
    """
    known = ~np.isnan([accuracies, *scores.values()]).any(axis=0)
    n, truth = int(known.sum()), accuracies[known]
    counts = with_resamples(n)
    taus = {name: resampled_tau(values[known], truth, counts) for name, values in scores.items()}
    best = max(taus, key=lambda name: np.nan_to_num(taus[name][0], nan=-1.0))
    gain = estimate_of(np.round(taus[best] - taus[first], TAU_DECIMALS), n)
    if n < MIN_NETWORKS or best == first or outcome_of(gain) != "beats":
        return None
    values = ", ".join(f"{name} {taus[name][0]:.2f}" for name in (best, first))
    return f"{best} ranks these {n:,} better than {first} (Kendall tau {values}; difference {gain}): use --score {best}"


def outcome_of(difference: Estimate) -> Outcome:
    """Return what the interval of the difference between two taus, of a score and of size, says."""
    if difference.low is None or difference.high is None:
        return "too little evidence"
    return "beats" if difference.low > 0 else "loses" if difference.high < 0 else "cannot be told apart"


def is_shown(tau: Estimate) -> bool:
    """Return whether a tau says anything: of too few networks it is chance."""
    return tau.value is not None and tau.n >= MIN_NETWORKS


def tau_in_words(tau: Estimate) -> str:
    """Return a tau with its interval and its number of networks; of too few of them only their number.

    >>> tau_in_words(Estimate(0.5, 0.1, 0.8, 20, 0)), tau_in_words(Estimate(1.0, None, None, 3, 0))
    ('tau 0.50 [0.10, 0.80], n = 20', 'n = 3: too few for a tau')
    """
    return f"tau {tau}, n = {tau.n}" if tau.n >= MIN_NETWORKS else f"n = {tau.n}: too few for a tau"


def note_on_range(networks: Sequence[Network], ranked: Sequence[str] | None) -> str | None:
    """Return a warning where the networks are a ranking's top and not all of it, else None.

    ``ranked`` are the canonical names of the ranking's networks, best first; None where there is no ranking.
    """
    names = {network.canonical for network in networks}
    if ranked is None or not 1 < len(names) < len(ranked) or names != set(ranked[: len(names)]):
        return None
    return (
        f"The picks are the top {len(names)} of a ranking of {counted(len(ranked), 'different network')}, which "
        "says little about the whole ranking (restricted range); --select spread trains networks of all ranks."
    )


def agreement_with_size(ranking: pd.DataFrame) -> dict[str, float | None]:
    """Return Kendall's tau between the score and parameters, MACs and rectified units, over scored rows."""
    scored = ranking[ranking["status"] == "ok"]
    scores = scored["score"].to_numpy()
    taus = {}
    for size in SIZES:
        counts = scored[size].to_numpy(float, na_value=np.nan)
        counted = ~np.isnan(counts)
        taus[size] = kendall_tau(scores[counted], counts[counted])
    return taus


# Of the normal distribution: the ends of a 95 % interval, and 80 %, the share of studies that are to see a difference.
_OF_INTERVAL, _OF_POWER = 1.960, 0.842
# What is smaller needs more networks than anybody trains.
_MOST_NETWORKS = 100_000


def detectable(difference: Estimate) -> float | None:
    """Return the true difference that 80 % of such studies would see; None without an interval.

    The interval's half width is 1.96 standard errors; a difference of 1.96 + 0.84 of them is seen in 80 %.

    >>> round(detectable(Estimate(0.05, -0.09, 0.19, 50, 0)), 2)
    0.2
    """
    if difference.low is None or difference.high is None:
        return None
    return (1 + _OF_POWER / _OF_INTERVAL) * (difference.high - difference.low) / 2


def networks_needed(difference: Estimate) -> int | None:
    """Return how many networks see this difference in 80 % of studies; None for more than 100,000, or no interval.

    Standard errors fall with the root of the number.

    >>> networks_needed(Estimate(0.1, -0.1, 0.3, 50, 0))
    409
    """
    least = detectable(difference)
    if least is None or not difference.value:
        return None
    needed = math.ceil(difference.n * (least / difference.value) ** 2)
    return needed if needed <= _MOST_NETWORKS else None


def describe_power(difference: Estimate) -> str:
    """Return in one sentence what so many networks show, and how many this difference needs; empty if not known.

    >>> print(describe_power(Estimate(0.1, -0.1, 0.3, 50, 0)))
    50 networks can detect a true difference of 0.29 or more (80 % power); one of 0.10 needs about 410 networks.
    """
    least = detectable(difference)
    if not least or difference.value is None:
        return ""
    return (
        f"{difference.n:,} networks can detect a true difference of {least:.2f} or more (80 % power); one of "
        f"{abs(difference.value):.2f} needs {describe_needed(difference)} networks."
    )


def describe_needed(difference: Estimate) -> str:
    """Return in words how many networks a difference needs, in two digits: it is no more certain.

    >>> describe_needed(Estimate(0.1, -0.1, 0.3, 50, 0)), describe_needed(Estimate(0.001, -0.1, 0.3, 50, 0))
    ('about 410', 'more than 100,000')
    """
    needed = networks_needed(difference)
    return "more than 100,000" if needed is None else f"about {round(needed, 2 - len(str(needed))):,}"


GainOutcome = Literal["beat", "lose to", "cannot be told from", "too little evidence"]
# What controls are compared with, the first that there is.
_PICKS = ("top", "named", "given", "pareto", None, "spread", "all")
# Fewer than this a side, and the advice is to train more of them.
_ENOUGH = 10


@dataclass(frozen=True)
class Gain:
    """The mean test accuracy of picks less that of controls, in percentage points."""

    settings: GroupSettings
    """what their trainings have in common."""
    picks: tuple[float, ...]
    """test accuracy in percent of each network, the mean over its seeds."""
    controls: tuple[float, ...]

    @property
    def value(self) -> float:
        """The difference of the means."""
        return fmean(self.picks) - fmean(self.controls)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of Welch 1947, "Student's" problem with unequal variances; None for fewer than two a side.

        Accuracies are few and near their upper end: with three a side a bootstrap would be far too narrow.

        >>> settings = GroupSettings("nasbench201", "digits", "test", 12, None)
        >>> gain = Gain(settings, (97.0, 98.0, 99.0), (90.0, 94.0, 95.0))
        >>> gain.value, [round(end, 3) for end in gain.interval]
        (5.0, [-0.741, 10.741])
        """
        from scipy.stats import ttest_ind

        if min(len(self.picks), len(self.controls)) < 2:
            return None
        if len({*self.picks}) == len({*self.controls}) == 1:
            return self.value, self.value
        interval = ttest_ind(self.picks, self.controls, equal_var=False).confidence_interval(CONFIDENCE)
        return float(interval.low), float(interval.high)

    @property
    def outcome(self) -> GainOutcome:
        """What the interval says."""
        if self.interval is None:
            return "too little evidence"
        low, high = self.interval
        return "beat" if low > 0 else "lose to" if high < 0 else "cannot be told from"

    @property
    def short(self) -> str:
        """The gain with its interval."""
        interval = "" if self.interval is None else " [{:+.2f}, {:+.2f}]".format(*self.interval)
        return f"{self.value:+.2f} points{interval}"

    @property
    def sentence(self) -> str:
        """The outcome in words, with its numbers."""
        picks, controls = counted(len(self.picks), "pick"), counted(len(self.controls), "random candidate")
        numbers = f"test accuracy {fmean(self.picks):.2f} % ({picks}) against {fmean(self.controls):.2f} % ({controls})"
        numbers += f", {self.short}"
        more = f"--top {max(_ENOUGH, len(self.picks))} --controls {max(_ENOUGH, len(self.controls))}"
        if self.interval is None:
            return f"Picks against random: {numbers}; a single network gives no interval: train more with {more}."
        said = f"The picks {self.outcome} random candidates: {numbers} (95 %, Welch)"
        if self.outcome == "cannot be told from":
            half = (self.interval[1] - self.interval[0]) / 2
            said += f"; this few detect only a gain of {half:.2f} points or more: train more with {more}"
        return f"{said}."

    def to_json(self) -> dict[str, Any]:
        """Return it as ``evidence.json`` holds it, in percentage points."""
        low, high = self.interval or (None, None)
        return {
            "picks": self.picks, "controls": self.controls, "gain": self.value, "low": low, "high": high,
            "interval": "Welch over networks", "outcome": self.outcome, "sentence": self.sentence,
        }  # fmt: skip


def gain_of(group: Group) -> Gain | None:
    """Return what a group's picks gain over its controls; None where there are none of one of them."""
    samples = group.samples
    picks = next((own for name in _PICKS if (own := _accuracies(samples.get(name, ())))), ())
    controls = _accuracies(samples.get(CONTROL, ()))
    return Gain(group.settings, picks, controls) if picks and controls else None


def _accuracies(networks: Sequence[Network]) -> tuple[float, ...]:
    means = (network.mean(TEST_ACC.name) for network in networks)
    return tuple(100 * mean for mean in means if mean is not None)
