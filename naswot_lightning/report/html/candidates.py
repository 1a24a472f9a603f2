"""The table of candidates: a row each, the best first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from naswot_lightning.analysis.results import Group
from naswot_lightning.columns import BENCHMARK_ACC, SIZES, TEST_ACC, VAL_ACC, Column
from naswot_lightning.ranking import COLUMNS, as_dicts
from naswot_lightning.report.html.evaluations import Evaluations
from naswot_lightning.report.provisional import criteria_of
from naswot_lightning.report.run import Run

Rows = Sequence[Mapping[str, Any]]  # of the ranking
Kind = Literal["count", "number", "share", "text", "label"]
MOST_ROWS = 10_000
_PAPER = ("rank", "architecture", "score", TEST_ACC.name, BENCHMARK_ACC.name, "params", "macs")
_PAPER_ROWS = 30
_DIGITS = 7  # of a number: more than a score means
_SHARES = {TEST_ACC.name, VAL_ACC.name, BENCHMARK_ACC.name}
_LABELS = {VAL_ACC.name: "val acc", BENCHMARK_ACC.name: "benchmark acc"}


@dataclass(frozen=True)
class CandidateColumn:
    """One column.

    Attributes:
        name: in files.
        label: at its head.
        kind: how its values are shown and compared: "share" is shown in percent, "label" has few different values.
        values: one a row; None where there is none.
        note: what it is, in a sentence; empty where the label says it.
    """

    name: str
    label: str
    kind: Kind
    values: tuple[Any, ...]
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the page's scripts read it; values of a "label" once, with their positions."""
        plain: dict[str, Any] = {"name": self.name, "label": self.label, "kind": self.kind, "note": self.note}
        if self.kind != "label":
            return {**plain, "values": self.values}
        labels = list(dict.fromkeys(self.values))
        places = {label: place for place, label in enumerate(labels)}
        return {**plain, "labels": labels, "codes": [places[value] for value in self.values]}


@dataclass(frozen=True)
class Candidates:
    """The table.

    Attributes:
        total: rows of the ranking.
        columns: the rank, the architecture and the score first.
    """

    total: int
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
        return [(column, [_shown(column.kind, value) for value in column.values[:_PAPER_ROWS]]) for column in columns]


def _shown(kind: Kind, value: Any) -> str:
    if value is None:
        return "–"
    if kind == "share":
        return f"{100 * value:.2f} %"
    if kind == "number":
        return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
    return f"{value:,}" if kind == "count" else str(value)


def candidates_of(run: Run, evaluations: Evaluations) -> Candidates | None:
    """Return the table of the ranking's candidates, at most the first 10,000; None where there is no ranking."""
    rows = list(as_dicts(run.ranking.head(MOST_ROWS)))
    if not rows:
        return None
    columns = [
        _count("rank", "rank", [row["rank"] for row in rows]),
        CandidateColumn("architecture", "architecture", "text", tuple(row["architecture"] for row in rows)),
        *_scores(run, rows),
        *_trained(run.groups, rows),
        *(_count(name, column.label, [row[name] for row in rows]) for name, column in SIZES.items()),
        *_evaluated(evaluations, rows),
    ]
    return Candidates(len(run.ranking), tuple(each for each in columns if any(v is not None for v in each.values)))


def _count(name: str, label: str, values: Sequence[int | None]) -> CandidateColumn:
    return CandidateColumn(name, label, "count", tuple(values))


def _scores(run: Run, rows: Rows) -> list[CandidateColumn]:
    first = criteria_of(run.settings, run.rows[:1])[0]
    own = first.parts[0] if not first.is_relative else Column(first.name, first.label)
    named = [("score", own.name, own.label, [row["score"] for row in rows])]
    names = [name for name in rows[0] if name not in (*COLUMNS, first.name)]
    named += [(name, name, _LABELS.get(name, name), [row[name] for row in rows]) for name in names]
    return [_number(name, column, label, values) for name, column, label, values in named]


def _number(name: str, column: str, label: str, values: Sequence[float | None]) -> CandidateColumn:
    if column in _SHARES:
        return CandidateColumn(name, _LABELS.get(column, label), "share", tuple(map(rounded, values)))
    return CandidateColumn(name, label, "number", tuple(map(rounded, values)))


def _trained(groups: Sequence[Group], rows: Rows) -> list[CandidateColumn]:
    """Return the accuracies of the largest group of trained picks that can be compared."""
    if not groups:
        return []
    accuracies = {network.canonical: network.mean(TEST_ACC.name) for network in groups[0].networks}
    values = tuple(rounded(accuracies.get(row["canonical"])) for row in rows)
    note = f"of the trained picks: {groups[0].title(len(groups[0].usable))}"
    return [CandidateColumn(TEST_ACC.name, TEST_ACC.heading, "share", values, note)]


def _evaluated(evaluations: Evaluations, rows: Rows) -> list[CandidateColumn]:
    """Return when each was evaluated, its status and the reason; what no row has is left out by the caller."""
    places = evaluations.places(row["architecture"] for row in rows)
    own = [places.get(row["architecture"]) for row in rows]
    reasons = tuple(None if place is None else evaluations.rows[place].reason for place in own)
    return [
        _count("evaluated", "evaluation", [None if place is None else place + 1 for place in own]),
        CandidateColumn("status", "status", "label", tuple(row["status"] for row in rows)),
        CandidateColumn("reason", "reason", "label", reasons),
    ]


def rounded(value: float | None) -> float | None:
    """Return a number with seven digits, which keeps the page small.

    >>> rounded(1415.177894507242)
    1415.178
    """
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")


def rounded_all(values: Iterable[float | None]) -> tuple[float | None, ...]:
    """Return numbers with seven digits each."""
    return tuple(map(rounded, values))


def rows_by_canonical(run: Run, most: int = MOST_ROWS) -> Mapping[str, int]:
    """Return the best row of each network in the table."""
    canonicals = run.ranking["canonical"].head(most).drop_duplicates()
    return dict(zip(canonicals, canonicals.index, strict=True))
