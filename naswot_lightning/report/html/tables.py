"""The parts of the page as records of plain values: candidates, best so far, trained picks, evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from naswot_lightning.analysis.evidence import PREDICTORS, Correlation, Verdict
from naswot_lightning.columns import BENCHMARK_ACC, SCORE_INIT, SIZES, TEST_ACC, VAL_ACC, Column, Criterion
from naswot_lightning.ranking import COLUMNS, as_dicts
from naswot_lightning.report.findings import Findings, describe_trajectory
from naswot_lightning.report.run import Run, TrainingRun
from naswot_lightning.storage.score_rows import ScoreRow

Kind = Literal["count", "number", "share", "text", "label"]
# Of a curve: epochs, values.
Line = tuple[tuple[float, ...], tuple[float | None, ...]]
# Predictor, tau, both ends of its interval, whether it is a size.
Bar = tuple[str, float, float | None, float | None, bool]
_Point = TypeVar("_Point")
MOST_ROWS = 10_000
# Of networks: more cards and curves tell nothing.
MOST_PICKS = 60
# Of a curve: more than it has pixels on a phone.
_MOST_POINTS = 300
# Of single candidates, evenly spaced.
_MOST_DOTS = 2_000
_PAPER = ("rank", "architecture", "score", TEST_ACC.name, BENCHMARK_ACC.name, "params", "macs")
_PAPER_ROWS = 30
# Of a number: more than a score means.
_DIGITS = 7
_SHARES = {TEST_ACC.name, VAL_ACC.name, BENCHMARK_ACC.name}
_LABELS = {VAL_ACC.name: "val acc", BENCHMARK_ACC.name: "benchmark acc"}


@dataclass(frozen=True)
class CandidateColumn:
    """One column of the table of candidates."""

    name: str
    """in files."""
    label: str
    """at its head."""
    kind: Kind
    """how its values are shown and compared: "share" is shown in percent, "label" has few different values."""
    values: tuple[Any, ...]
    """one per row; None where there is none."""
    note: str = ""
    """what it is, in a sentence; empty where the label says it."""

    def shown(self, value: Any) -> str:
        """Return a value of it in words."""
        if value is None:
            return "–"
        if self.kind == "share":
            return f"{100 * value:.2f} %"
        if self.kind == "number":
            return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
        return f"{value:,}" if self.kind == "count" else str(value)

    def to_json(self) -> dict[str, Any]:
        """Return it as the page's scripts read it; values of a "label" once, with their positions."""
        plain: dict[str, Any] = {"name": self.name, "label": self.label, "kind": self.kind, "note": self.note}
        if self.kind != "label":
            return {**plain, "values": self.values}
        places = {label: place for place, label in enumerate(dict.fromkeys(self.values))}
        return {**plain, "labels": list(places), "codes": [places[value] for value in self.values]}


@dataclass(frozen=True)
class CandidateTable:
    """The table of candidates: a row each, the best first."""

    total: int
    """rows of the ranking."""
    columns: tuple[CandidateColumn, ...]

    @property
    def shown(self) -> int:
        """Rows of the table."""
        return len(self.columns[0].values)

    def column(self, name: str) -> CandidateColumn | None:
        """Return a column; None where the table has none of that name."""
        return next((each for each in self.columns if each.name == name), None)

    def on_paper(self) -> list[tuple[CandidateColumn, list[str]]]:
        """Return the columns that paper has room for, and their first values as they are shown."""
        columns = [column for name in _PAPER if (column := self.column(name)) is not None]
        return [(column, list(map(column.shown, column.values[:_PAPER_ROWS]))) for column in columns]


def candidates_of(run: Run) -> CandidateTable | None:
    """Return the table of the ranking's candidates, at most the first 10,000; None where there is no ranking."""
    rows = list(as_dicts(run.ranking.head(MOST_ROWS)))
    if not rows:
        return None
    architectures = [row["architecture"] for row in rows]
    first = run.criterion
    own = Column(first.name, first.label) if first.is_relative else first.parts[0]
    further = [name for name in rows[0] if name not in (*COLUMNS, first.name)]
    # Where each was first evaluated whole.
    places: dict[str, int] = {}
    wanted = set(architectures)
    for place, row in enumerate(run.rows):
        if row.fidelity is None and row.architecture in wanted:
            places.setdefault(row.architecture, place)
    evaluated = [places.get(architecture) for architecture in architectures]
    reasons = [None if place is None else run.rows[place].reason for place in evaluated]
    columns = [
        CandidateColumn("rank", "rank", "count", tuple(row["rank"] for row in rows)),
        CandidateColumn("architecture", "architecture", "text", tuple(architectures)),
        _score_column("score", own.name, own.label, [row["score"] for row in rows]),
        *(_score_column(name, name, _LABELS.get(name, name), [row[name] for row in rows]) for name in further),
        *_accuracies(run, rows),
        *(CandidateColumn(each, size.label, "count", tuple(row[each] for row in rows)) for each, size in SIZES.items()),
        CandidateColumn(
            "evaluated", "evaluation", "count", tuple(None if place is None else place + 1 for place in evaluated)
        ),
        CandidateColumn("status", "status", "label", tuple(row["status"] for row in rows)),
        CandidateColumn("reason", "reason", "label", tuple(reasons)),
    ]
    known = (each for each in columns if any(value is not None for value in each.values))
    return CandidateTable(len(run.ranking), tuple(known))


def _score_column(name: str, column: str, label: str, values: Iterable[float | None]) -> CandidateColumn:
    if column in _SHARES:
        return CandidateColumn(name, _LABELS.get(column, label), "share", tuple(map(rounded, values)))
    return CandidateColumn(name, label, "number", tuple(map(rounded, values)))


def _accuracies(run: Run, rows: Sequence[Mapping[str, Any]]) -> list[CandidateColumn]:
    if not run.groups:
        return []
    group = run.groups[0]
    accuracies = {network.canonical: network.mean(TEST_ACC.name) for network in group.networks}
    values = tuple(rounded(accuracies.get(row["canonical"])) for row in rows)
    note = f"of the trained picks: {group.title(len(group.usable))}"
    return [CandidateColumn(TEST_ACC.name, TEST_ACC.heading, "share", values, note)]


def rounded(value: float | None) -> float | None:
    """Return a number with seven digits, which keeps the page small.

    >>> rounded(1415.177894507242)
    1415.178
    """
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")


def progress_of(rows: Sequence[ScoreRow], criterion: Criterion) -> dict[str, Any] | None:
    """Return the best so far of a search, in the order in which candidates were evaluated.

    Trainings of a part of the epochs count for that part, and are never the best.

    Returns:
        ``effort``: what an evaluation is; ``steps``: (evaluations, best so far) where it became better, and at the
        end; ``dots``: (evaluations, score) of single candidates. None where no candidate has a score, and for ranks by
        several scores, which change with each further candidate.
    """
    whole = np.array([row.fidelity is None for row in rows], dtype=bool)
    scores = np.array([row.score if row.status == "ok" else None for row in rows], dtype=float)
    known = np.flatnonzero(whole & ~np.isnan(scores))
    if criterion.is_relative or not known.size:
        return None
    effort = np.cumsum([1.0 if row.fidelity is None else row.fidelity for row in rows])

    def points(places: np.ndarray) -> list[tuple[float, float]]:
        return [(rounded(float(effort[at])) or 0.0, rounded(float(scores[at])) or 0.0) for at in places]

    worth = scores[known] if criterion.parts[0].higher_is_better else -scores[known]
    is_better = np.concatenate(([True], worth[1:] > np.maximum.accumulate(worth)[:-1]))
    steps = points(known[is_better])
    some = np.unique(np.linspace(0, known.size - 1, min(known.size, _MOST_DOTS)).round().astype(np.int64))
    return {
        "effort": "different candidates evaluated"
        if whole.all()
        else "trainings of different candidates, in whole ones",
        "steps": [*steps, (rounded(float(effort[-1])) or 0.0, steps[-1][1])],
        "dots": points(known[some]),
    }


@dataclass(frozen=True)
class Pick:
    """A network that is trained."""

    rank: int | None
    """the best of its picks; None where it was given by hand."""
    row: int | None
    """its position in the table of candidates; None where it is not there."""
    space: str
    architecture: str
    dataset: str
    cells: tuple[int, ...]
    trainings: tuple[TrainingRun, ...]
    """the lowest seed first."""

    @property
    def name(self) -> str:
        """What it is called on the page."""
        return "given by hand" if self.rank is None else f"rank {self.rank}"

    def to_json(self) -> dict[str, Any]:
        """Return it as the page's scripts read it."""
        return {
            "name": self.name,
            "row": self.row,
            "architecture": self.architecture,
            "cells": self.cells,
            "trainings": [
                {
                    "pick": each.pick,
                    "seed": each.planned.seed,
                    "metrics": {
                        name: _thinned(tuple(zip(each.curve.epochs, values, strict=True)))
                        for name, values in each.curve.metrics.items()
                        # The trajectory has the score, by the fractional epoch.
                        if name not in ("seconds", "score/naswot")
                    },
                    "score": _thinned(each.trajectory.points),
                }
                for each in self.trainings
            ],
        }


def picks_of(run: Run, cells: Mapping[str, tuple[int, ...]]) -> tuple[Pick, ...]:
    """Return the trained networks, the best rank first, those given by hand last, with cells by architecture."""
    canonicals = run.ranking["canonical"].head(MOST_ROWS).drop_duplicates()
    rows = dict(zip(canonicals, canonicals.index, strict=True))
    members: dict[tuple[str, str, str], list[TrainingRun]] = {}
    for each in run.trainings:
        members.setdefault((each.planned.space, each.planned.canonical, each.planned.dataset), []).append(each)
    picks = [
        Pick(
            rank=min((each.planned.rank for each in trainings if each.planned.rank is not None), default=None),
            row=rows.get(trainings[0].planned.canonical),
            space=trainings[0].planned.space,
            architecture=trainings[0].planned.architecture,
            dataset=trainings[0].planned.dataset,
            cells=cells.get(trainings[0].planned.architecture, ()),
            trainings=tuple(sorted(trainings, key=lambda each: (each.planned.seed, each.pick))),
        )
        for trainings in members.values()
    ]
    return tuple(sorted(picks, key=lambda pick: (pick.rank is None, pick.rank or 0, pick.architecture)))[:MOST_PICKS]


def _thinned(points: Sequence[tuple[float, float | None]]) -> Line:
    shown = thinned(points, _MOST_POINTS)
    return tuple(rounded(epoch) or 0.0 for epoch, _ in shown), tuple(rounded(value) for _, value in shown)


def thinned(points: Sequence[_Point], most: int) -> Sequence[_Point]:
    """Return at most so many of the points, evenly chosen, the first and the last among them.

    >>> thinned(((0.0, 5.0), (0.5, 6.0), (1.0, 7.0), (2.0, 8.0)), most=2)
    [(0.0, 5.0), (2.0, 8.0)]
    """
    most = max(most, 2)
    if len(points) <= most:
        return points
    return [points[round(place * (len(points) - 1) / (most - 1))] for place in range(most)]


@dataclass(frozen=True)
class Evidence:
    """What one set of accuracies says of the score."""

    title: str
    """whose accuracies they are."""
    outcome: str
    sentence: str
    tau: str
    notes: tuple[str, ...]
    """what else is to be said, and what limits it."""
    correlations: tuple[tuple[str, str, str, int], ...]
    """predictor, Kendall's tau, Spearman's rho, and how many networks."""
    bars: tuple[Bar, ...]
    """of the drawing; only where tau is defined."""
    trajectory: tuple[str, ...] = ()
    """the score during training, in lines."""


def evidence_of(run: Run, findings: Findings) -> tuple[Evidence, ...]:
    """Return the evidence of a run, that of its own trainings first, the group with the most networks first of all."""
    found = []
    for group, each in zip(run.groups, findings.groups, strict=True):
        notes = [] if each.note is None else [each.note]
        if left_out := [f"{count} {what}" for what, count in each.left_out.items() if count]:
            notes.append(f"Left out of the statistics: {', '.join(left_out)}.")
        trajectory = tuple(describe_trajectory(each.trajectory))
        title = group.title(each.networks)
        found.append(_evidence(title, each.verdict, each.correlations[TEST_ACC.name], tuple(notes), trajectory))
    if (table := run.benchmark) is not None:
        title = f"{table.source}: {table.networks:,} of {table.candidates:,} candidates are known"
        notes = []
        if table.pick is not None and table.best_candidate is not None and table.best is not None:
            pick, best, of_table = 100 * table.pick, 100 * table.best_candidate, 100 * table.best
            notes = [
                f"The first of the ranking reaches {pick:.2f} %: {best - pick:.2f} points below the best of the "
                f"candidates ({best:.2f} %), {of_table - pick:.2f} below the best of the table ({of_table:.2f} %)."
            ]
        found.append(_evidence(title, table.verdict, table.correlations, tuple(notes)))
    return tuple(found)


def _evidence(
    title: str,
    verdict: Verdict,
    correlations: Mapping[str, Correlation],
    notes: tuple[str, ...],
    trajectory: tuple[str, ...] = (),
) -> Evidence:
    rows, bars = [], []
    for column in PREDICTORS:
        tau, rho = correlations[column.name].kendall_tau, correlations[column.name].spearman_rho
        if tau.n:
            rows.append((column.label, str(tau), str(rho), tau.n))
        if tau.n and tau.value is not None:
            bars.append((column.label, tau.value, tau.low, tau.high, column.name in SIZES))
    of_score = str(correlations[SCORE_INIT.name].kendall_tau)
    return Evidence(title, verdict.outcome, verdict.sentence, of_score, notes, tuple(rows), tuple(bars), trajectory)
