"""The trainings of a run, those too that have no result: what is known of each from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    """What is trained, of the settings of a pick."""

    rank: Positive | None
    """in the ranking; None where the architecture was given."""
    space: str
    architecture: str
    canonical: str
    """the architecture of the network that is trained."""
    dataset: str
    seed: Count
    epochs: Count
    recipe: str | None = None
    """its name; None where the settings are lost."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """of ``train.py``, that are not the recipe's."""

    __pydantic_config__ = STRICT


_OF_RESULT = ("rank", "space", "architecture", "canonical", "dataset", "seed", "epochs")


@dataclass(frozen=True)
class Training:
    """One training."""

    pick: str
    """the name of its folder."""
    planned: Planned
    result: TrainingResult | None
    """None where it has none yet."""
    status: str
    """of the result, or how its process ended, or "not finished"."""
    reason: str | None
    """of another status than "ok"; None where nothing is said."""
    curve: LearningCurve
    """its epochs so far."""
    trajectory: Trajectory
    """its scores so far."""
    fault: str | None
    """of a file of it that is damaged, in one line; None where there is none."""


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
    own = {name: getattr(result, name) for name in _OF_RESULT}
    planned = _planned(path, own) or Planned(**own, options={"epochs": result.epochs})
    return _training(path, planned, result, result.status, result.reason)


def _unfinished(path: Path) -> Training | None:
    """Return a training without a result; None where its settings cannot be read, of which training itself tells."""
    planned = _planned(path, {})
    return None if planned is None else _training(path, planned, None, *_outcome(path))


def _training(path: Path, planned: Planned, result: TrainingResult | None, status: str, reason: str | None) -> Training:
    curve, fault = LearningCurve(), None
    try:
        curve = read_learning_curve(path / "metrics.csv")
    except UserError as error:
        fault = str(error)
    return Training(path.name, planned, result, status, reason, curve, read_trajectory(path / "trajectory.csv"), fault)


def _planned(path: Path, known: Mapping[str, Any]) -> Planned | None:
    """Return what the settings of a pick say, beside what is known; None where they cannot be read."""
    try:
        plain = parse_yaml((path / "config.yaml").read_bytes().decode())
        names = [name for name in Planned.__dataclass_fields__ if name in plain]
        return from_plain(Planned, {**{name: plain[name] for name in names}, **known})
    except (OSError, ValueError, TypeError):
        return None


def _outcome(path: Path) -> tuple[str, str | None]:
    """Return how the process ended; a process that is at work, or was killed, has left no word."""
    try:
        outcome: Mapping[str, Any] = parse_json((path / "outcome.json").read_bytes())
        status, reason = outcome["status"], outcome["message"]
    except (OSError, ValueError, KeyError, TypeError):
        return UNFINISHED, None
    return (str(status), None if reason is None else str(reason)) if status != "ok" else (UNFINISHED, None)
