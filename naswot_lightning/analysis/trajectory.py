"""The score during training: when it changes, when it settles, whether the ranking between networks stays.

The paper's claim about Figure 6: the score rises during the first epochs, then settles, and the ranking stays.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, stdev

from naswot_lightning.analysis.results import Network
from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.errors import UserError
from naswot_lightning.storage.records import MOST

Scores = dict[int, float]  # by the number of epochs done
Points = tuple[tuple[float, float], ...]  # (epochs done, score)

# Of the score's change in an epoch, relative to the score: a tenth of the spread between networks (standard deviation
# 10 % of the mean: random NAS-Bench-201 networks on digits), three times what settled ones still waver (0.3 %).
SETTLED = 0.01
_MOST_EPOCHS = 1_000_000


@dataclass(frozen=True)
class Trajectory:
    """The score of one training.

    Args:
        points: (epochs done, score).
        left_out: points without a finite score.
        running: of the second score, by BatchNorm's running statistics; empty where there is none.
    """

    points: Points = ()
    left_out: int = 0
    running: Points = ()

    @property
    def at_epochs(self) -> Scores:
        """The scores at init (0) and at the ends of epochs."""
        return {round(epoch): score for epoch, score in self.points if epoch == round(epoch)}


def read_trajectory(path: Path) -> Trajectory:
    """Read a ``trajectory.csv``; one that is missing or empty has no points.

    Raises:
        UserError: the file is damaged.
    """
    try:
        lines = path.read_bytes().decode().splitlines()
    except FileNotFoundError:
        return Trajectory()
    except UnicodeDecodeError:
        raise _damaged(path) from None
    try:
        rows = [(_epoch(row), _score(row), _number(row.get("score_running"))) for row in csv.DictReader(lines)]
    except (KeyError, TypeError, ValueError, csv.Error):
        raise _damaged(path) from None
    points = tuple((epoch, score) for epoch, score, _ in rows if score is not None)
    running = tuple((epoch, score) for epoch, _, score in rows if score is not None)
    return Trajectory(points, len(rows) - len(points), running)


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is damaged: expected the columns step, epoch, score, status; remove the file, "
        "and its network is left out of the facts about the score during training"
    )


def _epoch(row: Mapping[str, str]) -> float:
    epoch = float(row["epoch"])
    if not 0 <= epoch <= _MOST_EPOCHS:
        raise ValueError(f"epoch {epoch}")
    return epoch


def _score(row: Mapping[str, str]) -> float | None:
    return _number(row["score"]) if row["status"] == "ok" else None


def _number(text: str | None) -> float | None:
    if not text:
        return None
    number = float(text)
    return number if abs(number) <= MOST else None


def mean_scores(trajectories: Sequence[Trajectory]) -> Scores:
    """Return a network's mean score over its seeds, at the epochs where all of them have one.

    An epoch that only some have would be a jump that no training made.

    >>> mean_scores([Trajectory(((0.0, 300.0), (1.0, 310.0))), Trajectory(((0.0, 302.0), (0.5, 305.0)))])
    {0: 301.0}
    """
    scores = [trajectory.at_epochs for trajectory in trajectories if trajectory.points]
    shared = set.intersection(*(set(each) for each in scores)) if scores else set()
    return {epoch: fmean(each[epoch] for each in scores) for epoch in sorted(shared)}


@dataclass(frozen=True)
class SeedBand:
    """The score of a network's trainings with several seeds.

    Attributes:
        points: (epochs done, mean over seeds), at those points that every seed has.
        deviations: sample standard deviations (n - 1) at these points.
        seeds: trainings.
    """

    points: Points
    deviations: tuple[float, ...]
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


def settles_after(scores: Scores, bound: float = SETTLED) -> int | None:
    """Return the first epoch after which every change is below ``bound`` an epoch, or None if there is none.

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
        if not abs(scores[after] - scores[before]) < bound * abs(scores[before]) * (after - before):
            settled = after
    return None if settled == epochs[-1] else settled


@dataclass(frozen=True)
class Change:
    """How the score changes in the first epoch, over networks.

    Attributes:
        median: of the changes; None where there are none, as the following.
        min: the lowest.
        max: the highest.
        n: networks with a score at init and after one epoch.
        risen: of them, those whose score rose.
    """

    median: float | None
    min: float | None
    max: float | None
    n: int
    risen: int


@dataclass(frozen=True)
class Settling:
    """After which epoch the score has settled, over the networks in which it does (:func:`settles_after`).

    Attributes:
        median: of the epochs; None where there are none, as the following.
        min: the first.
        max: the last.
        n: networks in which the score settles.
        never: networks in which it does not, within the training.
    """

    median: float | None
    min: float | None
    max: float | None
    n: int
    never: int


@dataclass(frozen=True)
class EpochRanking:
    """Whether the ranking between networks is still the same at the end of an epoch.

    Attributes:
        epoch: epochs done.
        tau_with_previous: Kendall's tau with the scores an epoch earlier; None where it is not defined.
        tau_with_init: with the scores at init.
        n: networks with a score at this epoch.
    """

    epoch: int
    tau_with_previous: float | None
    tau_with_init: float | None
    n: int


@dataclass(frozen=True)
class Stability:
    """Whether the ranking between networks stays during training.

    Attributes:
        epochs: each of them.
        init_to_final: Kendall's tau between the scores at init and at the last epoch; None where it is not defined.
    """

    epochs: tuple[EpochRanking, ...]
    init_to_final: float | None


@dataclass(frozen=True)
class NetworkFacts:
    """The score of one network during training, its mean over seeds.

    Attributes:
        network: the name of its picks.
        canonical: its architecture.
        points: ends of epochs with a score, init among them.
        points_left_out: points without a finite score.
        change_first_epoch: of the score; None where a score is missing.
        settles_after: :func:`settles_after`.
    """

    network: str
    canonical: str
    points: int
    points_left_out: int
    change_first_epoch: float | None
    settles_after: int | None


@dataclass(frozen=True)
class TrajectoryFacts:
    """The facts of Figure 6.

    Attributes:
        bound: a change an epoch, relative to the score, below which it has settled.
        points_left_out: points without a finite score, of all networks.
        without_points: networks without a trajectory.
        change_first_epoch: over networks.
        settles_after: over networks.
        ranking: between networks.
        networks: each of them.
    """

    bound: float
    points_left_out: int
    without_points: int
    change_first_epoch: Change
    settles_after: Settling
    ranking: Stability
    networks: tuple[NetworkFacts, ...]


def trajectory_facts(networks: Sequence[Network], trajectories: Mapping[str, Trajectory]) -> TrajectoryFacts:
    """Return the facts of Figure 6.

    Args:
        networks: usable ones.
        trajectories: by the name of the pick.

    >>> trajectory_facts([], {}).change_first_epoch
    Change(median=None, min=None, max=None, n=0, risen=0)
    """
    of_networks = [[trajectories[result.pick] for result in network.finished] for network in networks]
    scores = [mean_scores(each) for each in of_networks]
    facts = tuple(_facts_of(*each) for each in zip(networks, scores, of_networks, strict=True))
    changes = [each.change_first_epoch for each in facts if each.change_first_epoch is not None]
    settled = [each.settles_after for each in facts if each.points > 1]
    settling = [epoch for epoch in settled if epoch is not None]
    return TrajectoryFacts(
        bound=SETTLED,
        points_left_out=sum(each.points_left_out for each in facts),
        without_points=sum(each.points == 0 for each in facts),
        change_first_epoch=Change(*_range(changes), risen=sum(change > 0 for change in changes)),
        settles_after=Settling(*_range(settling), never=settled.count(None)),
        ranking=_stability(scores),
        networks=facts,
    )


def _facts_of(network: Network, scores: Scores, trajectories: Sequence[Trajectory]) -> NetworkFacts:
    return NetworkFacts(
        network=network.name,
        canonical=network.canonical,
        points=len(scores),
        points_left_out=sum(trajectory.left_out for trajectory in trajectories),
        change_first_epoch=scores[1] - scores[0] if {0, 1} <= set(scores) else None,
        settles_after=settles_after(scores),
    )


def _range(values: Sequence[float]) -> tuple[float | None, float | None, float | None, int]:
    """Return median, lowest, highest and number."""
    return (median(values), min(values), max(values), len(values)) if values else (None, None, None, 0)


def _stability(scores: Sequence[Scores]) -> Stability:
    present = {epoch for each in scores for epoch in each} - {0}
    epochs = tuple(
        EpochRanking(
            epoch=epoch,
            tau_with_previous=_tau_between(scores, epoch - 1, epoch),
            tau_with_init=_tau_between(scores, 0, epoch),
            n=sum(epoch in each for each in scores),
        )
        for epoch in sorted(present)
    )
    return Stability(epochs, epochs[-1].tau_with_init if epochs else None)


def _tau_between(scores: Sequence[Scores], first: int, second: int) -> float | None:
    both = [(each[first], each[second]) for each in scores if first in each and second in each]
    return kendall_tau([a for a, _ in both], [b for _, b in both])
