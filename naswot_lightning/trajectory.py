"""The score during training: when it changes, when it settles, whether the ranking between networks stays.

The paper's claim about Figure 6: the score rises during the first epochs, then settles, and the ranking stays.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.ranking import kendall_tau
from naswot_lightning.results import Network

Row = dict[str, Any]
Scores = dict[int, float]  # by the number of epochs done

# Of the score's change in an epoch, relative to the score: a tenth of the spread between networks (standard deviation
# 10 % of the mean: random NAS-Bench-201 networks on digits), three times what settled ones still waver (0.3 %).
SETTLED = 0.01


@dataclass(frozen=True)
class Trajectory:
    """The score of one training.

    Args:
        points: (epochs done, score).
        left_out: points without a finite score.
    """

    points: tuple[tuple[float, float], ...] = ()
    left_out: int = 0

    @property
    def at_epochs(self) -> Scores:
        """The scores at init (0) and at the ends of epochs."""
        return {round(epoch): score for epoch, score in self.points if epoch == round(epoch)}


def read_trajectory(path: Path) -> Trajectory:
    """Read a ``trajectory.csv``; one that is missing or empty has no points.

    Raises:
        UserError: the file is damaged.
    """
    if not path.exists():
        return Trajectory()
    with open(path, newline="") as file:
        try:
            rows = [(float(row["epoch"]), _score(row)) for row in csv.DictReader(file)]
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{path} is damaged: expected the columns step, epoch, score, status; remove the file, "
                "and its network is left out of the facts about the score during training"
            ) from None
    points = tuple((epoch, score) for epoch, score in rows if score is not None)
    return Trajectory(points, len(rows) - len(points))


def _score(row: Mapping[str, str]) -> float | None:
    if not row["score"] or row["status"] != "ok":
        return None
    score = float(row["score"])
    return score if math.isfinite(score) else None


def mean_scores(trajectories: Sequence[Trajectory]) -> Scores:
    """Return a network's mean score over its seeds, at the epochs where all of them have one.

    An epoch that only some have would be a jump that no training made.
    """
    scores = [trajectory.at_epochs for trajectory in trajectories if trajectory.points]
    shared = set.intersection(*(set(each) for each in scores)) if scores else set()
    return {epoch: fmean(each[epoch] for each in scores) for epoch in sorted(shared)}


def settles_after(scores: Scores, bound: float = SETTLED) -> int | None:
    """Return the first epoch after which every change is below ``bound`` an epoch, or None if there is none.

    A change is |s_b - s_a| / |s_a| / (b - a) between one point and the next, which are an epoch apart unless points
    are missing. 0 means that the score never changed by more.
    """
    epochs = sorted(scores)
    if len(epochs) < 2:
        return None
    settled = epochs[0]
    for before, after in pairwise(epochs):
        if not abs(scores[after] - scores[before]) < bound * abs(scores[before]) * (after - before):
            settled = after
    return None if settled == epochs[-1] else settled


def trajectory_facts(networks: Sequence[Network], trajectories: Mapping[str, Trajectory]) -> Row:
    """Return the facts of Figure 6.

    Args:
        networks: usable ones.
        trajectories: by the name of the pick.

    Returns:
        ``networks`` (a row each), ``change_first_epoch`` and ``settles_after`` over networks, ``ranking`` between
        them: Kendall's tau with the previous epoch and with init, at each epoch; None where not defined.
    """
    of_networks = [[trajectories[row["pick"]] for row in network.finished] for network in networks]
    scores = [mean_scores(each) for each in of_networks]
    rows = [_facts_of(*each) for each in zip(networks, scores, of_networks, strict=True)]
    changes = [row["change_first_epoch"] for row in rows if row["change_first_epoch"] is not None]
    settled = [row["settles_after"] for row in rows if row["points"] > 1]
    return {
        "bound": SETTLED,
        "points_left_out": sum(row["points_left_out"] for row in rows),
        "without_points": sum(row["points"] == 0 for row in rows),
        "change_first_epoch": {**_range(changes), "risen": sum(change > 0 for change in changes)},
        "settles_after": {**_range([e for e in settled if e is not None]), "never": settled.count(None)},
        "ranking": _stability(scores),
        "networks": rows,
    }


def _facts_of(network: Network, scores: Scores, trajectories: Sequence[Trajectory]) -> Row:
    return {
        "network": network.name,
        "canonical": network.canonical,
        "points": len(scores),
        "points_left_out": sum(trajectory.left_out for trajectory in trajectories),
        "change_first_epoch": scores[1] - scores[0] if {0, 1} <= set(scores) else None,
        "settles_after": settles_after(scores),
    }


def _range(values: Sequence[float]) -> Row:
    whole = {"median": median(values), "min": min(values), "max": max(values)} if values else {}
    return {"median": None, "min": None, "max": None, **whole, "n": len(values)}


def _stability(scores: Sequence[Scores]) -> Row:
    last = max((epoch for each in scores for epoch in each), default=0)
    epochs = [
        {
            "epoch": epoch,
            "tau_with_previous": _tau_between(scores, epoch - 1, epoch),
            "tau_with_init": _tau_between(scores, 0, epoch),
            "n": sum(epoch in each for each in scores),
        }
        for epoch in range(1, last + 1)
    ]
    return {"epochs": epochs, "init_to_final": epochs[-1]["tau_with_init"] if epochs else None}


def _tau_between(scores: Sequence[Scores], first: int, second: int) -> float | None:
    both = [(each[first], each[second]) for each in scores if first in each and second in each]
    return kendall_tau([a for a, _ in both], [b for _, b in both])


def describe(facts: Row) -> list[str]:
    """Return the facts as lines for the terminal."""
    change, settled, ranking = facts["change_first_epoch"], facts["settles_after"], facts["ranking"]
    lines = []
    if change["n"]:
        lines.append(
            f"first epoch: the score changes by {change['median']:+.2f} (median of n = {change['n']} networks; "
            f"{change['min']:+.2f} to {change['max']:+.2f}), it rises in {change['risen']}"
        )
    if settled["n"] or settled["never"]:
        lines.append(f"settled:     {_settled_text(settled, facts['bound'])}")
    if ranking["init_to_final"] is not None:
        lines.append(f"ranking:     {_ranking_text(ranking)}")
    if facts["points_left_out"] or facts["without_points"]:
        lines.append(
            f"left out:    points without a finite score: {facts['points_left_out']}, "
            f"networks without a trajectory: {facts['without_points']}"
        )
    return lines


def _settled_text(settled: Row, bound: float) -> str:
    never = f"; not within the training in {settled['never']}" if settled["never"] else ""
    if not settled["n"]:
        return f"in no network does it stay below {bound:.0%} of change an epoch"
    return (
        f"less than {bound:.0%} of change an epoch after epoch {settled['median']:g} "
        f"(median of {settled['n']} networks; {settled['min']} to {settled['max']}){never}"
    )


def _ranking_text(ranking: Row) -> str:
    previous = [row["tau_with_previous"] for row in ranking["epochs"] if row["tau_with_previous"] is not None]
    after_one = ranking["epochs"][0]["tau_with_init"]
    early = "" if after_one is None else f"{after_one:.2f} after epoch 1, "
    steps = f"; from epoch to epoch {median(previous):.2f} (median; at least {min(previous):.2f})" if previous else ""
    return f"Kendall tau with the scores at init {early}{ranking['init_to_final']:.2f} at the end{steps}"
