"""The trainings of a run, those too that have no result: what is known of each from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naswot_lightning.analysis.results import TrainingResult
from naswot_lightning.analysis.trajectory import LearningCurve, Trajectory, read_learning_curve, read_trajectory
from naswot_lightning.errors import UserError
from naswot_lightning.storage.plain_yaml import parse_yaml
from naswot_lightning.storage.records import STRICT, Count, Positive, from_plain, parse_json

UNFINISHED = "not finished"


@dataclass(frozen=True)
class Planned:
    """What is trained, of the settings of a pick.

    Attributes:
        rank: in the ranking; None where the architecture was given.
        space: the search space.
        architecture: the pick.
        canonical: the architecture of the network that is trained.
        dataset: to train on.
        seed: of the training.
        epochs: of the recipe.
    """

    rank: Positive | None
    space: str
    architecture: str
    canonical: str
    dataset: str
    seed: Count
    epochs: Count

    __pydantic_config__ = STRICT


_PLANNED = tuple(Planned.__dataclass_fields__)


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        pick: the name of its folder.
        planned: what is trained.
        result: None where it has none yet.
        status: of the result, or how its process ended, or "not finished".
        reason: of another status than "ok"; None where nothing is said.
        curve: its epochs so far.
        trajectory: its scores so far.
        fault: of a file of it that is damaged, in one line; None where there is none.
    """

    pick: str
    planned: Planned
    result: TrainingResult | None
    status: str
    reason: str | None
    curve: LearningCurve
    trajectory: Trajectory
    fault: str | None


def read_trainings(folder: Path, results: Sequence[TrainingResult]) -> tuple[Training, ...]:
    """Return all trainings whose folders say what is trained: those with a result first, then by rank.

    Args:
        folder: of the run.
        results: those it has.

    Raises:
        UserError: a trajectory is damaged. Other damaged files are a ``fault`` of their training.
    """
    finished = [_finished(folder / "picks" / result.pick, result) for result in results]
    known = {result.pick for result in results}
    others = sorted(path.parent for path in folder.glob("picks/*/config.yaml") if path.parent.name not in known)
    unfinished = [training for path in others if (training := _unfinished(path)) is not None]
    return (*finished, *sorted(unfinished, key=_order))


def _order(training: Training) -> tuple[bool, int, str]:
    rank = training.planned.rank
    return rank is None, rank or 0, training.pick


def _finished(path: Path, result: TrainingResult) -> Training:
    planned = Planned(**{name: getattr(result, name) for name in _PLANNED})
    curve, fault = _curve(path)
    trajectory = read_trajectory(path / "trajectory.csv")
    return Training(path.name, planned, result, result.status, result.reason, curve, trajectory, fault)


def _unfinished(path: Path) -> Training | None:
    """Return a training without a result; None where its settings cannot be read, of which training itself tells."""
    try:
        plain = parse_yaml((path / "config.yaml").read_bytes().decode())
        planned = from_plain(Planned, {name: plain[name] for name in _PLANNED})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    status, reason = _outcome(path)
    curve, fault = _curve(path)
    trajectory = read_trajectory(path / "trajectory.csv")
    return Training(path.name, planned, None, status, reason, curve, trajectory, fault)


def _curve(path: Path) -> tuple[LearningCurve, str | None]:
    try:
        return read_learning_curve(path / "metrics.csv"), None
    except UserError as error:
        return LearningCurve(), str(error)


def _outcome(path: Path) -> tuple[str, str | None]:
    """Return how the process ended; a process that is at work, or was killed, has left no word."""
    try:
        outcome: Mapping[str, Any] = parse_json((path / "outcome.json").read_bytes())
        status, reason = outcome["status"], outcome["message"]
    except (OSError, ValueError, KeyError, TypeError):
        return UNFINISHED, None
    return (str(status), None if reason is None else str(reason)) if status != "ok" else (UNFINISHED, None)
