"""How far the rankings of two runs agree on the networks that both have scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from naswot_lightning.analysis.statistics import Estimate, estimate, resampled_tau
from naswot_lightning.report.provisional import criteria_of
from naswot_lightning.report.several.beside import Beside


@dataclass(frozen=True)
class Agreement:
    """Two runs, and how far they rank the networks alike that they share.

    Attributes:
        first: the name of one run.
        second: of the other.
        tau: Kendall's, between their scores, the better one higher; None where they are not compared.
        why: why not.
    """

    first: str
    second: str
    tau: Estimate | None
    why: str | None = None


def agreements(runs: Sequence[Beside]) -> list[Agreement]:
    """Return the agreement of each two runs."""
    return [_of_two(first, second) for first, second in combinations(runs, 2)]


def _of_two(first: Beside, second: Beside) -> Agreement:
    names = first.name, second.name
    for each in (first, second):
        if each.run.ranking.empty:
            return Agreement(*names, None, f"{each.name} has no ranking")
        if criteria_of(each.run.settings, each.run.rows[:1])[0].is_relative:
            why = f"{each.name} ranks by ranks put together, which change with its candidates"
            return Agreement(*names, None, why)
    spaces = [_space(each) for each in (first, second)]
    if spaces[0] != spaces[1]:
        return Agreement(*names, None, f"they are of {spaces[0]} and of {spaces[1]}")
    tau = tau_of_shared(_scores(first), _scores(second))
    return Agreement(*names, tau, None if tau.n else "they share no scored network")


def tau_of_shared(first: Mapping[str, float], second: Mapping[str, float]) -> Estimate:
    """Return Kendall's tau with its interval between two scores of the networks that have both.

    >>> tau_of_shared({"a": 1.0, "b": 2.0, "c": 3.0}, {"c": 9.0, "b": 7.0, "d": 1.0}).n
    2
    """
    shared = sorted(first.keys() & second.keys())
    return estimate(resampled_tau, [first[name] for name in shared], [second[name] for name in shared])


def _space(beside: Beside) -> str:
    return str(beside.run.settings.get("space", "")).partition(":")[0]


def _scores(beside: Beside) -> dict[str, float]:
    """Return the score of each network, the better one higher."""
    ranking = beside.run.ranking
    better = criteria_of(beside.run.settings, beside.run.rows[:1])[0].parts[0].higher_is_better
    scored = ranking[ranking["status"] == "ok"]
    scores = scored["score"] if better else -scored["score"]
    return dict(zip(scored["canonical"], scores.tolist(), strict=True))
