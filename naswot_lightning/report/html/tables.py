"""The parts of the page as plain values: candidates, best so far, cells as numbers, trained picks, evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from naswot_lightning.analysis.evidence import MIN_NETWORKS, PREDICTORS, Correlation
from naswot_lightning.analysis.pareto import score_and_cost
from naswot_lightning.columns import BENCHMARK_ACC, COSTS, PARETO_RANK, SIZES, TEST_ACC, VAL_ACC, Column, Criterion
from naswot_lightning.ranking import COLUMNS
from naswot_lightning.report.run import Planned, Run, TrainingRun
from naswot_lightning.storage.score_rows import ScoreRow

if TYPE_CHECKING:
    from naswot_lightning.spaces.graph import CellGraph

Kind = Literal["count", "number", "share", "text", "label"]
# Of a curve: epochs, values.
Line = tuple[tuple[float, ...], tuple[float | None, ...]]
_Point = TypeVar("_Point")
MOST_ROWS = 10_000
# Architectures whose cells are drawn.
MOST_DRAWN = 3_000
# A layout takes 2 to 6 ms; cells with the same edges and labels of the same lengths share one.
_MOST_LAYOUTS = 400
# Of networks: more cards and curves tell nothing.
MOST_PICKS = 60
# Of a curve: more than it has pixels on a phone.
_MOST_POINTS = 300
# Of a number: more than a score means.
_DIGITS = 7
_SHARES = {TEST_ACC.name, VAL_ACC.name, BENCHMARK_ACC.name}
_LABELS = {VAL_ACC.name: "val acc", BENCHMARK_ACC.name: "benchmark acc"}
_FRONT = "rank by all objectives: none dominates what is on front 1, only that dominates what is on front 2, and so on"
_LABELS |= {name: cost.axis for name, cost in COSTS.items()}


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


@dataclass(frozen=True)
class CandidateTable:
    """The table of candidates: a row each, the best first."""

    total: int
    """rows of the ranking."""
    columns: tuple[CandidateColumn, ...]
    """rank and architecture first."""

    @property
    def shown(self) -> int:
        """Rows of the table."""
        return len(self.columns[0].values)

    @property
    def drawn(self) -> tuple[str, ...]:
        """The architectures whose cells are drawn."""
        return self.columns[1].values[:MOST_DRAWN]

    def column(self, name: str) -> CandidateColumn | None:
        """Return a column; None where the table has none of that name."""
        return next((each for each in self.columns if each.name == name), None)


def candidates_of(run: Run) -> CandidateTable | None:
    """Return the table of the ranking's candidates, at most the first 10,000; None where there is no ranking."""
    if run.ranking.empty:
        return None
    ranking = run.ranking.head(MOST_ROWS).astype(object)
    known = {str(name): tuple(ranking[name].where(ranking[name].notna(), None)) for name in ranking}
    first = run.criterion
    own = Column(first.name, first.label) if first.is_relative else first.parts[0]
    columns = [
        CandidateColumn("rank", "rank", "count", known["rank"]),
        CandidateColumn("architecture", "architecture", "text", known["architecture"]),
        _score_column("score", own.name, own.label, known["score"]),
    ]
    for name, values in known.items():
        if name not in (*COLUMNS, PARETO_RANK, first.name):
            columns.append(_score_column(name, name, _LABELS.get(name, name), values))
    if PARETO_RANK in known:
        columns.append(CandidateColumn(PARETO_RANK, "front", "count", known[PARETO_RANK], _FRONT))
    if run.groups:
        group = run.groups[0]
        trained = {network.canonical: network.mean(TEST_ACC.name) for network in group.networks}
        shares = tuple(rounded(trained.get(canonical)) for canonical in known["canonical"])
        note = f"of the trained picks: {group.title(len(group.usable))}"
        columns.append(CandidateColumn(TEST_ACC.name, TEST_ACC.heading, "share", shares, note))
    columns += [CandidateColumn(name, size.label, "count", known[name]) for name, size in SIZES.items()]
    # Where each was first evaluated whole, and why it has no score.
    evaluated: dict[str, tuple[int, str | None]] = {}
    for number, row in enumerate(run.rows, start=1):
        if row.fidelity is None:
            evaluated.setdefault(row.architecture, (number, row.reason))
    numbers, reasons = zip(*(evaluated.get(each, (None, None)) for each in known["architecture"]), strict=True)
    columns += [
        CandidateColumn("evaluated", "evaluation", "count", numbers),
        CandidateColumn("status", "status", "label", known["status"]),
        CandidateColumn("reason", "reason", "label", reasons),
    ]
    told = (each for each in columns if any(value is not None for value in each.values))
    return CandidateTable(len(run.ranking), tuple(told))


def _score_column(name: str, column: str, label: str, values: Iterable[float | None]) -> CandidateColumn:
    if column in _SHARES:
        return CandidateColumn(name, _LABELS.get(column, label), "share", tuple(map(rounded, values)))
    return CandidateColumn(name, label, "number", tuple(map(rounded, values)))


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

    Trainings of a part of the epochs count for that part, and are never the best. None where no candidate has a score,
    and for ranks by several scores, which change with each further candidate.

    Returns:
        ``effort``: what an evaluation is; ``steps``: (evaluations, best so far) where it became better, and at the end.
    """
    whole = [row.fidelity is None for row in rows]
    scores = np.array([row.score if row.status == "ok" and row.fidelity is None else None for row in rows], dtype=float)
    steps = best_so_far(scores, criterion.parts[0].higher_is_better)
    if criterion.is_relative or not steps:
        return None
    effort = np.cumsum([1.0 if row.fidelity is None else row.fidelity for row in rows]).tolist()
    what = "different candidates evaluated" if all(whole) else "trainings of different candidates, in whole ones"
    return {"effort": what, "steps": [(rounded(effort[count - 1]), rounded(best)) for count, best in steps]}


def best_so_far(scores: np.ndarray, higher_is_better: bool) -> list[tuple[int, float]]:
    """Return (candidates evaluated, best of them) wherever the best changes, and at the end.

    >>> best_so_far(np.array([3.0, np.nan, 1.0, 4.0, 2.0]), True)
    [(1, 3.0), (4, 4.0), (5, 4.0)]
    """
    known = np.flatnonzero(~np.isnan(scores))
    if not len(known):
        return []
    best = (np.maximum if higher_is_better else np.minimum).accumulate(scores[known])
    changed = np.flatnonzero(np.diff(best, prepend=np.nan) != 0)
    found = [(int(known[place]) + 1, float(best[place])) for place in changed]
    return found if found[-1][0] == len(scores) else [*found, (len(scores), float(best[-1]))]


def fronts_of(run: Run, candidates: CandidateTable | None) -> list[dict[str, Any]]:
    """Return the pairs of columns whose fronts are drawn: score and cost of the objectives, accuracy and that cost."""
    pair = score_and_cost(run.objectives)
    if pair is None or candidates is None:
        return []
    score, cost = pair
    high = score.name if candidates.column(score.name) else "score"
    accuracy = next((name for name in (TEST_ACC.name, BENCHMARK_ACC.name) if candidates.column(name)), None)
    return [{"x": cost.name, "y": name} for name in (high, accuracy) if name and candidates.column(cost.name)]


@dataclass
class Cells:
    """Cells that are drawn, each once."""

    words: dict[str, int] = field(default_factory=dict)
    """titles, labels of nodes and operations, with their positions."""
    graphs: dict[tuple[int, ...], int] = field(default_factory=dict)
    """each as title, layout, nodes, (label * 2 + live) per node, (source, target, label * 2 + live) per edge.
    Titles and labels are positions in ``words``, layouts in ``layouts``."""
    layouts: list[dict[str, Any]] = field(default_factory=list)
    _shapes: dict[Any, int] = field(default_factory=dict)

    def add(self, space: str, architecture: str) -> tuple[int, ...]:
        """Return the positions of an architecture's cells in ``graphs``; none where it cannot be drawn."""
        from naswot_lightning.spaces import known_space

        # Code that a file names as its space is not run, and the page shows the string instead.
        try:
            cells = known_space(space).graph(architecture)
        except Exception:  # noqa: BLE001 - of a space of the user's own
            return ()
        found = []
        for graph, layout in zip(cells, [self._layout(graph) for graph in cells], strict=True):
            if layout is not None:
                code = [self._word(graph.title), layout, len(graph.nodes)]
                code += [2 * self._word(node.label) + node.live for node in graph.nodes]
                for edge in graph.edges:
                    code += [edge.source, edge.target, 2 * self._word(edge.label) + edge.live]
                found.append(self.graphs.setdefault(tuple(code), len(self.graphs)))
        return tuple(found) if len(found) == len(cells) else ()

    def _word(self, word: str) -> int:
        return self.words.setdefault(word, len(self.words))

    def _layout(self, graph: CellGraph) -> int | None:
        """Return the position of a graph's layout; None where it would be one too many."""
        from naswot_lightning.spaces.drawing import lay_out, text_size

        # All that a layout depends on.
        shape = (
            tuple((text_size(node.label), node.live) for node in graph.nodes),
            tuple((edge.source, edge.target, edge.label and text_size(edge.label)) for edge in graph.edges),
        )
        if shape not in self._shapes and len(self.layouts) < _MOST_LAYOUTS:
            layout = lay_out(graph, down=True)
            box = lambda each: each and [round(value, 1) for value in (each.x, each.y, each.width, each.height)]  # noqa: E731
            self._shapes[shape] = len(self.layouts)
            self.layouts.append(
                {
                    "size": [round(layout.width, 1), round(layout.height, 1)],
                    "rows": [[round(top, 1), round(bottom, 1)] for top, bottom in layout.columns],
                    "nodes": list(map(box, layout.nodes)),
                    "labels": list(map(box, layout.labels)),
                    "routes": [[route[0].column, *(round(lane.x, 1) for lane in route)] for route in layout.routes],
                }
            )
        return self._shapes.get(shape)


@dataclass(frozen=True)
class Pick:
    """A network that is trained."""

    row: int | None
    """its position in the table of candidates; None where it is not there."""
    cells: tuple[int, ...]
    trainings: tuple[TrainingRun, ...]
    """the lowest seed first."""

    @property
    def planned(self) -> Planned:
        """What all its trainings have in common."""
        return self.trainings[0].planned

    @property
    def rank(self) -> int | None:
        """The best of its picks; None where it was given by hand."""
        return min((each.planned.rank for each in self.trainings if each.planned.rank is not None), default=None)

    @property
    def name(self) -> str:
        """What it is called on the page."""
        if all(each.is_control for each in self.trainings):
            return f"random: rank {self.rank}"
        return "given by hand" if self.rank is None else f"rank {self.rank}"

    def to_json(self) -> dict[str, Any]:
        """Return it as the page's scripts read it."""
        trainings = []
        for each in self.trainings:
            epochs, metrics = each.curve.epochs, {}
            for name, values in each.curve.metrics.items():
                # The trajectory has the score, by the fractional epoch.
                if name not in ("seconds", "score/naswot"):
                    metrics[name] = _thinned(tuple(zip(epochs, values, strict=True)))
            score = _thinned(each.trajectory.points)
            trainings.append({"seed": each.planned.seed, "metrics": metrics, "score": score})
        shown = {"name": self.name, "row": self.row, "architecture": self.planned.architecture, "cells": self.cells}
        return {**shown, "trainings": trainings}


def picks_of(run: Run, cells: Mapping[str, tuple[int, ...]]) -> tuple[Pick, ...]:
    """Return the trained networks, the best rank first, those given by hand last, with cells by architecture."""
    canonicals = run.ranking["canonical"].head(MOST_ROWS).drop_duplicates()
    rows = dict(zip(canonicals, canonicals.index, strict=True))
    members: dict[tuple[str, str, str], list[TrainingRun]] = {}
    for each in sorted(run.trainings, key=lambda each: (each.planned.seed, each.pick)):
        members.setdefault((each.planned.space, each.planned.canonical, each.planned.dataset), []).append(each)
    picks = []
    for (_, canonical, _), own in members.items():
        picks.append(Pick(rows.get(canonical), cells.get(own[0].planned.architecture, ()), tuple(own)))
    picks.sort(key=lambda pick: (pick.rank is None, pick.rank or 0, pick.planned.architecture))
    return tuple(picks[:MOST_PICKS])


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


def correlation_rows(correlations: Mapping[str, Correlation]) -> list[tuple[str, str, str, int]]:
    """Return predictor, Kendall's tau, Spearman's rho, and of how many networks; none of too few of them."""
    rows = []
    for column in PREDICTORS:
        tau, rho = correlations[column.name].kendall_tau, correlations[column.name].spearman_rho
        if tau.n >= MIN_NETWORKS:
            rows.append((column.label, str(tau), str(rho), tau.n))
    return rows
