"""Each score against an accuracy, and against plain size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from naswot_lightning.analysis.statistics import (
    Array,
    Estimate,
    estimate_of,
    partial_tau,
    resampled_tau,
    with_resamples,
)
from naswot_lightning.study.accuracies import Accuracies
from naswot_lightning.study.criteria import SIZES, Merits

Outcome = Literal["beats", "loses", "cannot be told apart", "too little evidence"]
_DECIMALS = 12  # equal taus over different numbers of ties may differ in the last bit, which must not decide


@dataclass(frozen=True)
class Judged:
    """What an accuracy says of a score.

    Attributes:
        score: its name.
        unscored: how many of the networks are without it; they are ranked last.
        tau: Kendall's tau with the accuracy.
        less_size: that less the tau of plain size, on the same resamples.
        partial: Kendall's partial tau with the accuracy, given plain size.
        tau_with_size: Kendall's tau of the score with plain size; None where one of them has equal values only.
        outcome: what the interval of ``less_size`` says.
    """

    score: str
    unscored: int
    tau: Estimate
    less_size: Estimate
    partial: Estimate
    tau_with_size: float | None
    outcome: Outcome

    @property
    def is_size(self) -> bool:
        """Whether it is itself plain size."""
        return self.score in SIZES


@dataclass(frozen=True)
class Panel:
    """What one accuracy says of all scores.

    Attributes:
        accuracy: which it is.
        source: the table that it is from, or trained picks.
        n: networks with this accuracy.
        size: what plain size is here: parameters or MACs, whichever has the higher tau with the accuracy.
        note: a warning of what these networks cannot say.
        judged: the scores, the highest tau first.
    """

    accuracy: str
    source: str
    n: int
    size: str
    note: str | None
    judged: tuple[Judged, ...]


def judge_scores(merits: Mapping[str, Merits], accuracies: Accuracies) -> Panel:
    """Return what an accuracy says of scores; pure.

    The size is chosen once, on all networks. That favours size a little, hence never a score.

    Args:
        merits: of the candidates by each score, parameters and MACs among them.
        accuracies: of the same candidates.
    """
    known = np.flatnonzero(~np.isnan(accuracies.values))
    counts, accuracy = with_resamples(len(known)), accuracies.values[known]
    taus = {name: _taus(each.ranks[known], accuracy, counts) for name, each in merits.items()}
    size = max(SIZES, key=lambda name: np.nan_to_num(taus[name][0], nan=-1.0))
    n, sizes = len(known), merits[size].ranks[known]
    unscored = {name: int(each.unscored[known].sum()) for name, each in merits.items()}
    judged = [
        _judge(name, unscored[name], taus[name], taus[size], _taus(each.ranks[known], sizes, counts), n)
        for name, each in merits.items()
    ]
    judged.sort(key=lambda each: -2.0 if each.tau.value is None else each.tau.value, reverse=True)
    return Panel(accuracies.label, accuracies.source, n, size, accuracies.note, tuple(judged))


def _judge(name: str, unscored: int, tau: Array, of_size: Array, with_size: Array, n: int) -> Judged:
    """Return what the taus, (1 + resamples,) each, say: with the accuracy, that of plain size, and with plain size."""
    less = estimate_of(np.round(tau - of_size, _DECIMALS), n)
    agreement = float(with_size[0])
    return Judged(
        score=name,
        unscored=unscored,
        tau=estimate_of(tau, n),
        less_size=less,
        partial=estimate_of(partial_tau(tau, with_size, of_size), n),
        tau_with_size=None if math.isnan(agreement) else agreement,
        outcome=_outcome(less),
    )


def _outcome(less: Estimate) -> Outcome:
    if less.low is None or less.high is None:
        return "too little evidence"
    return "beats" if less.low > 0 else "loses" if less.high < 0 else "cannot be told apart"


def _taus(first: Array, second: Array, counts: Array) -> Array:
    return resampled_tau(first.tolist(), second.tolist(), counts)
