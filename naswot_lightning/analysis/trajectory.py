"""Curves over time: the score and the metrics of trainings, and the best so far of searches."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Literal

import numpy as np

from naswot_lightning.analysis.results import Network
from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.storage.foreign import reading
from naswot_lightning.storage.records import MOST

# By the number of epochs done.
Scores = dict[int, float]
# (epochs done, score).
Points = tuple[tuple[float, float], ...]
Effort = Literal["evaluations", "seconds"]

# Change of the score per epoch, relative to the score, below which it has settled: a tenth of the spread between
# networks (standard deviation 10 % of the mean: random NAS-Bench-201 networks on digits), three times what settled
# ones still waver (0.3 %).
SETTLED = 0.01
_MOST_EPOCHS = 1_000_000
# Points of a best-so-far curve that is drawn, and the percentiles of its band over seeds.
_POINTS = 400
_BAND = (10.0, 90.0)


@dataclass(frozen=True)
class Trajectory:
    """The score of one training."""

    points: Points = ()
    left_out: int = 0
    """points without a finite score."""
    running: Points = ()
    """those of the second score, by BatchNorm's running statistics; empty where there is none."""


def read_trajectory(path: Path) -> Trajectory:
    """Read a ``trajectory.csv``; one that is missing or empty has no points, one that is damaged is a UserError."""
    points, running, left_out = [], [], 0
    cure = "remove the file, and its network is left out of the facts about the score during training"
    with reading(path, "table of step, epoch, score, status", cure):
        for row in _csv_rows(path):
            epoch, second = float(row["epoch"]), _number(row.get("score_running"))
            if not 0 <= epoch <= _MOST_EPOCHS:
                raise ValueError(f"epoch {epoch}")
            score = _number(row["score"]) if row["status"] == "ok" else None
            points += [] if score is None else [(epoch, score)]
            running += [] if second is None else [(epoch, second)]
            left_out += score is None
    return Trajectory(tuple(points), left_out, tuple(running))


@dataclass(frozen=True)
class LearningCurve:
    """Losses and accuracies of one training, as ``metrics.csv`` has them."""

    epochs: tuple[int, ...] = ()
    """(n,) epochs done, ascending."""
    metrics: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    """(n,) values by their names ("train/loss", "val/acc"); None where there is none at that epoch."""


def read_learning_curve(path: Path) -> LearningCurve:
    """Read a ``metrics.csv``; one that is missing or empty has no epochs, one that is damaged is a UserError."""
    cure = "remove the file, and its training is shown without a learning curve"
    with reading(path, "table of epoch, step and metrics", cure):
        rows = _csv_rows(path)
        epochs = tuple(int(row["epoch"]) for row in rows)
        names = [name for name in (rows[0] if rows else ()) if name not in ("epoch", "step")]
        return LearningCurve(epochs, {name: tuple(_number(row[name]) for row in rows) for name in names})


def _csv_rows(path: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        return []


def _number(text: str | None) -> float | None:
    """Return a number; None where there is none, or one that is infinite or cannot be drawn."""
    number = float(text) if text else math.inf
    return number if abs(number) <= MOST else None


@dataclass(frozen=True)
class SeedBand:
    """The score of a network's trainings with several seeds, at those points that every seed has."""

    points: Points
    """(epochs done, mean over seeds)."""
    deviations: tuple[float, ...]
    """sample standard deviations (n - 1) over seeds."""
    seeds: int


def seed_band(trajectories: Sequence[Points]) -> SeedBand:
    """Return mean and deviation over seeds; of a single one, its points and deviations of 0.

    >>> seed_band([((0.0, 300.0), (0.5, 305.0)), ((0.0, 302.0),)])
    SeedBand(points=((0.0, 301.0),), deviations=(1.4142135623730951,), seeds=2)
    """
    scores = [dict(points) for points in trajectories if points]
    shared = sorted(set.intersection(*map(set, scores))) if scores else []
    values = [[each[epoch] for each in scores] for epoch in shared]
    means = tuple((epoch, fmean(each)) for epoch, each in zip(shared, values, strict=True))
    return SeedBand(means, tuple(stdev(each) if len(each) > 1 else 0.0 for each in values), len(scores))


def settles_after(scores: Scores) -> int | None:
    """Return the first epoch after which every change is below 1 % per epoch, or None if there is none.

    A change is |s_b - s_a| / |s_a| / (b - a) between one point and the next, which are an epoch apart unless points
    are missing. 0 means that the score never changed by more.

    >>> settles_after({0: 100.0, 1: 120.0, 2: 130.0, 3: 130.5, 4: 131.0})
    2
    """
    epochs = sorted(scores)
    if len(epochs) < 2:
        return None
    settled = epochs[0]
    for before, after in pairwise(epochs):
        # Negated, so that a change from a score of 0, relative to which nothing is small, counts as one.
        if not abs(scores[after] - scores[before]) < SETTLED * abs(scores[before]) * (after - before):
            settled = after
    return None if settled == epochs[-1] else settled


@dataclass(frozen=True)
class Range:
    """Where the values of n networks lie; None where there is none."""

    median: float | None
    min: float | None
    max: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """Return that of some values."""
        return cls(median(values), min(values), max(values), len(values)) if values else cls(None, None, None, 0)


@dataclass(frozen=True)
class EpochRanking:
    """Whether the ranking between networks is still the same at the end of an epoch."""

    epoch: int
    tau_with_previous: float | None
    """Kendall's tau, as the other: None where it is not defined."""
    tau_with_init: float | None
    n: int


@dataclass(frozen=True)
class TrajectoryFacts:
    """The facts of Figure 6: the score rises at first, then settles, and the ranking stays, as the paper says."""

    bound: float
    """a change per epoch, relative to the score, below which it has settled."""
    points_left_out: int
    without_points: int
    """networks without a trajectory."""
    change_first_epoch: Range
    """of networks with a score at init and after one epoch."""
    risen: int
    """those whose score rose."""
    settles_after: Range
    """the epoch, of networks in which the score settles (:func:`settles_after`)."""
    never_settled: int
    ranking: tuple[EpochRanking, ...]
    """of each epoch."""


def trajectory_facts(networks: Sequence[Network], trajectories: Mapping[str, Trajectory]) -> TrajectoryFacts:
    """Return the facts of Figure 6 of usable networks; trajectories are given by the name of the pick."""
    courses = [[trajectories[result.pick] for result in network.finished] for network in networks]
    # An epoch that only some seeds have would be a jump in the mean that no training made.
    means = [seed_band([each.points for each in course]).points for course in courses]
    scores: list[Scores] = [{round(epoch): s for epoch, s in each if epoch == round(epoch)} for each in means]
    changes = [own[1] - own[0] for own in scores if {0, 1} <= set(own)]
    settled = [settles_after(own) for own in scores if len(own) > 1]
    # Epoch 0 is init, with which the others are compared.
    ends = sorted({epoch for each in scores for epoch in each} - {0})
    rankings = tuple(
        EpochRanking(
            end, _tau_between(scores, end - 1, end), _tau_between(scores, 0, end), sum(end in each for each in scores)
        )
        for end in ends
    )
    return TrajectoryFacts(
        bound=SETTLED,
        points_left_out=sum(trajectory.left_out for course in courses for trajectory in course),
        without_points=sum(not own for own in scores),
        change_first_epoch=Range.of(changes),
        risen=sum(change > 0 for change in changes),
        settles_after=Range.of([epoch for epoch in settled if epoch is not None]),
        never_settled=settled.count(None),
        ranking=rankings,
    )


def _tau_between(scores: Sequence[Scores], first: int, second: int) -> float | None:
    both = [(each[first], each[second]) for each in scores if first in each and second in each]
    return kendall_tau([a for a, _ in both], [b for _, b in both])


@dataclass(frozen=True)
class Curve:
    """The best so far of one search, after each of its candidates."""

    evaluations: tuple[float, ...]
    """done so far, ascending; a training of a part of the epochs counts for that part."""
    seconds: tuple[float, ...]
    """gone by, ascending; all 0 where they are not known."""
    values: tuple[float | None, ...]
    """None before there is one."""

    @property
    def is_timed(self) -> bool:
        """Whether its seconds are known."""
        return any(self.seconds)

    def best_after(self, kind: Effort, effort: np.ndarray) -> np.ndarray:
        """Return the best after each of some efforts; NaN before there is one."""
        last = np.searchsorted(getattr(self, kind), effort, side="right")
        return np.array([None, *self.values], dtype=float)[last]


@dataclass(frozen=True)
class Band:
    """Curves of several seeds, at n points of effort: 10 % of the seeds are below ``low``, 10 % above ``high``."""

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
    # Curves are compared from where the last of them has found something.
    known = [[index for index, value in enumerate(curve.values) if value is not None] for curve in curves]
    if not curves or not all(known):
        return None
    begin = max(getattr(curve, kind)[indices[0]] for curve, indices in zip(curves, known, strict=True))
    effort = np.linspace(begin, max(getattr(curve, kind)[-1] for curve in curves), _POINTS)
    values = [curve.best_after(kind, effort) for curve in curves]
    low, high = np.percentile(values, _BAND, axis=0)
    return Band(effort, np.mean(values, axis=0), low, high, len(curves))
