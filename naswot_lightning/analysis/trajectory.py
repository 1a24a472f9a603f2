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


