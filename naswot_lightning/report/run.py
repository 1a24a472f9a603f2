"""What a run folder holds, read once: the input of every table, figure, page and sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from naswot_lightning.analysis.choosing import Choice
from naswot_lightning.analysis.evidence import PREDICTORS, Correlation, Verdict
from naswot_lightning.analysis.measurements import AblationFile, Similarities, ablation_path, read_ablation
from naswot_lightning.analysis.pareto import Objective, parse_objectives
from naswot_lightning.analysis.results import (
    CONTROL,
    Confusion,
    Group,
    TrainingResult,
    best_result,
    comparable,
    read_confusion,
    read_results,
)
from naswot_lightning.analysis.trajectory import LearningCurve, Trajectory, read_learning_curve, read_trajectory
from naswot_lightning.benchmarks.targets import Target
from naswot_lightning.columns import BENCHMARK_ACC, COSTS, PARETO_RANK, VAL_ACC, Column, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import COLUMNS, no_rows, rank, read_ranking
from naswot_lightning.storage.foreign import reading
from naswot_lightning.storage.records import STRICT, Count, Positive, Share, from_plain, parse_json, parse_yaml
from naswot_lightning.storage.run_folder import RunFolder, Versions, read_versions
from naswot_lightning.storage.score_rows import ScoreRow, read_score_rows

UNFINISHED = "not finished"


@dataclass(frozen=True)
class Run:
    """What the files of a run folder say."""

    name: str
    """of the folder."""
    settings: Mapping[str, Any]
    """of the search, as ``config.yaml`` holds them; empty where picks were given by hand."""
    ranking: pd.DataFrame
    """best first; empty where there is none."""
    results: tuple[TrainingResult, ...]
    """of all trainings, the best rank first."""
    rows: Sequence[ScoreRow] = ()
    """finished candidates in the order in which they were finished, where they were asked for."""
    trainings: tuple[TrainingRun, ...] = ()
    """all of them, those too that have no result."""
    provisional: bool = False
    """whether the ranking is of the finished candidates of a search that has written none yet."""
    benchmark: BenchmarkEvidence | None = None
    """what the accuracies of a table say of the ranking."""
    ablation: AblationFile | None = None
    """the scores of Figure 5, where they were measured."""
    kernels: Similarities | None = None
    """of a few networks, where a figure asked for it; no file holds it, nor ``jacobians``."""
    jacobians: Similarities | None = None
    confusion: Confusion | None = None
    """of the test images, to the best network; None where its folder has none."""
    versions: Sequence[Versions] = ()
    """of the libraries that the search ran with, a set for each time that they changed."""

    @property
    def ranked(self) -> tuple[str, ...] | None:
        """Canonical names of the ranking's different networks, best first; None where there is no ranking."""
        if self.ranking.empty:
            return None
        return tuple(self.ranking.loc[self.ranking["status"] == "ok", "canonical"].drop_duplicates())

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The results that can be compared, that with the most usable networks first."""
        return tuple(comparable(self.results))

    @cached_property
    def trajectories(self) -> Mapping[str, Trajectory]:
        """The scores during the trainings, by the names of their picks."""
        return {each.pick: each.trajectory for each in self.trainings}

    @property
    def best(self) -> TrainingResult | None:
        """The training to choose, by its validation accuracy; None where nothing tells."""
        return best_result(self.groups)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the candidates are to be good in at once; none of settings of another form, or without the columns."""
        text = self.settings.get("objectives")
        try:
            return parse_objectives(str(text)) if text and PARETO_RANK in self.ranking else ()
        except (UserError, KeyError):
            return ()

    @property
    def costs(self) -> tuple[str, ...]:
        """The columns of the ranking that say what networks cost, or what else a table knows of them: no scores."""
        own = {*COLUMNS, BENCHMARK_ACC.name, *(each.name for each in _criteria(self.settings, self.rows[:1]))}
        of_tables = (each.name for each in self.objectives if each.name not in own)
        return tuple(name for name in dict.fromkeys((*COSTS, *of_tables)) if name in self.ranking)

    @property
    def criterion(self) -> Criterion:
        """What the ranking is ordered by."""
        return _criteria(self.settings, self.rows[:1])[0]


def open_run(path: str) -> RunFolder:
    """Return the folder of a run; one that holds none is a UserError."""
    folder = RunFolder(path)
    if not folder.config.exists() and not folder.picks.is_dir():
        raise UserError(f"--run_dir {folder.path}: no run in it; expected the folder of naswot search or naswot train")
    folder.reject_symlinks()
    return folder


def read_run(folder: RunFolder, ranking: pd.DataFrame | None = None) -> Run:
    """Return what a run folder holds, which may be at work; its ranking may be given where it was just made.

    UserError where the settings, the ranking, a result or a trajectory is damaged.
    """
    if ranking is None:
        ranking = read_ranking(folder.path) if folder.ranking.exists() else no_rows()
    results = read_results(folder.path)
    run = Run(
        name=folder.name,
        settings=folder.read_config() if folder.config.exists() else {},
        ranking=ranking,
        results=tuple(results),
        trainings=read_trainings(folder.path, results),
        benchmark=read_benchmark_evidence(folder.path / "benchmark_evidence.json"),
        ablation=read_ablation(ablation_path(folder.path)),
        versions=read_versions(folder.versions),
    )
    return run if run.best is None else replace(run, confusion=read_confusion(folder.picks / run.best.pick))


def read_rows(folder: RunFolder, run: Run) -> Run:
    """Return a run with its finished candidates, which are ranked where the search has not ranked them yet."""
    rows = read_score_rows(folder.scores) if folder.scores.exists() else ()
    whole = [row for row in rows if row.fidelity is None]
    if not run.ranking.empty or not whole:
        return replace(run, rows=rows)
    return replace(run, rows=rows, ranking=rank(whole, _criteria(run.settings, whole)), provisional=True)


def _criteria(settings: Mapping[str, Any], rows: Sequence[ScoreRow]) -> Sequence[Criterion]:
    """Return what a search ranks by: its scores, or an accuracy where it trains; by default what its rows hold."""
    from naswot_lightning.scores.registry import parse_scores

    names = tuple(rows[0].scores) if rows else ("score",)
    if settings.get("evaluator", "scores") == "scores":
        try:
            criteria = parse_scores(str(settings.get("score")), saved=True)
            if not rows or {part.name for criterion in criteria for part in criterion.parts} <= set(names):
                return criteria
        except UserError:
            # Of a score that this version does not have.
            pass
    known = {VAL_ACC.name: VAL_ACC}
    return [Criterion((known.get(name, Column(name, name)),)) for name in names]


@dataclass(frozen=True)
class Planned:
    """What is trained, of the settings of a pick."""

    rank: Positive | None
    """None where the architecture was given."""
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
    """of ``naswot train``, that are not the recipe's."""

    __pydantic_config__ = STRICT


_PLANNED = tuple(Planned.__dataclass_fields__)
_OF_RESULT = ("rank", "space", "architecture", "canonical", "dataset", "seed", "epochs")


@dataclass(frozen=True)
class TrainingRun:
    """One training."""

    pick: str
    """the name of its folder."""
    planned: Planned
    result: TrainingResult | None
    status: str
    """of the result, or how its process ended, or "not finished"."""
    reason: str | None
    """of another status than "ok"; None where nothing is said."""
    curve: LearningCurve
    trajectory: Trajectory
    fault: str | None
    """of a file of it that is damaged, in one line; None where there is none."""

    @property
    def is_control(self) -> bool:
        """Whether it is a random candidate to compare the picks with."""
        return self.pick.startswith(f"{CONTROL}-")


def read_trainings(folder: Path, results: Sequence[TrainingResult]) -> tuple[TrainingRun, ...]:
    """Return all trainings whose folders say what is trained: those with a result first, then by rank.

    A damaged trajectory is a UserError; other damaged files are a ``fault`` of their training.
    """
    finished = [_read_training(folder / "picks" / result.pick, result) for result in results]
    known = {result.pick for result in results}
    others = sorted(path.parent for path in folder.glob("picks/*/config.yaml") if path.parent.name not in known)
    unfinished = [each for path in others if (each := _read_training(path, None)) is not None]
    unfinished.sort(key=lambda each: (each.planned.rank is None, each.planned.rank or 0, each.pick))
    return (*filter(None, finished), *unfinished)


def _read_training(path: Path, result: TrainingResult | None) -> TrainingRun | None:
    """Return the training of a folder; None where it has no result, and its settings cannot be read."""
    own = {} if result is None else {name: getattr(result, name) for name in _OF_RESULT}
    try:
        plain = parse_yaml((path / "config.yaml").read_bytes().decode())
        planned = from_plain(Planned, {name: plain[name] for name in _PLANNED if name in plain} | own)
    except (OSError, ValueError, TypeError):
        # Training itself says what is wrong.
        if result is None:
            return None
        planned = Planned(**own, options={"epochs": result.epochs})
    status, reason = (UNFINISHED, None) if result is None else (result.status, result.reason)
    if result is None:
        # How the process ended; one that is at work, or was killed, has left no word.
        with suppress(OSError, ValueError, KeyError, TypeError):
            outcome: Mapping[str, Any] = parse_json((path / "outcome.json").read_bytes())
            if outcome["status"] != "ok":
                told = outcome["message"]
                status, reason = str(outcome["status"]), None if told is None else str(told)
    curve, fault = LearningCurve(), None
    try:
        curve = read_learning_curve(path / "metrics.csv")
    except UserError as error:
        fault = str(error)
    trajectory = read_trajectory(path / "trajectory.csv")
    return TrainingRun(path.name, planned, result, status, reason, curve, trajectory, fault)


@dataclass(frozen=True, kw_only=True)
class BenchmarkEvidence:
    """What the accuracies of a table say of a ranking: ``benchmark_evidence.json``."""

    networks: Count
    """candidates with a score and an accuracy."""
    candidates: Count
    """of the ranking."""
    pick: Share | None
    """accuracy of the first of the ranking; None where the table does not know it."""
    best_candidate: Share | None
    best: Share | None
    correlations: Mapping[str, Correlation]
    """of the score and of model size with the accuracy."""
    verdict: Verdict
    benchmark: str
    target: Target
    choices: Mapping[str, Choice] = field(default_factory=dict)
    """what picks by the score, by the better size and at random are worth; empty where too few are known."""

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        for column in PREDICTORS:
            if column.name not in self.correlations:
                raise ValueError(f"correlations: nothing of {column.name}")

    @property
    def title(self) -> str:
        """Whose accuracies they are."""
        return f"{self.source}: {self.networks:,} of {self.candidates:,} candidates are known"

    @property
    def notes(self) -> list[str]:
        """What else is to be said, in sentences."""
        return [] if self.regret is None else [f"{self.regret}."]

    @property
    def regret(self) -> str | None:
        """How far the first of the ranking is from the best, in a sentence; None where that is not known."""
        if self.pick is None or self.best_candidate is None or self.best is None:
            return None
        pick, best, of_table = 100 * self.pick, 100 * self.best_candidate, 100 * self.best
        return (
            f"The first of the ranking reaches {pick:.2f} %: {best - pick:.2f} points below the best of the candidates "
            f"({best:.2f} %), {of_table - pick:.2f} below the best of the table ({of_table:.2f} %)"
        )

    @property
    def source(self) -> str:
        """The table and the accuracy, in words."""
        target = self.target
        # A list of one's own does not tell.
        epochs = f", {target.epochs} epochs" if target.epochs else ""
        return f"{self.benchmark}, {target.dataset} {target.split}{epochs}"


def read_benchmark_evidence(path: Path) -> BenchmarkEvidence | None:
    """Return the evidence of a ``benchmark_evidence.json``; None where there is none, UserError for a damaged one."""
    if not path.exists():
        return None
    with reading(path, "record of evidence", "run naswot search again to rewrite it"):
        content = parse_json(path.read_bytes())
        known = {each.name: content[each.name] for each in fields(BenchmarkEvidence) if each.name in content}
        return from_plain(BenchmarkEvidence, known)
