"""A row of a table: what was published beside what came out here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from naswot_lightning.console import print_table
from naswot_lightning.storage.files import write_csv

_CSV = (
    "row", "column", "published_mean", "published_std", "mean", "std", "runs", "published_seconds", "seconds", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """A mean over runs and its sample standard deviation; None where there is one run.

    >>> print(Spread.of([90.0, 92.0]))
    91.00 ± 1.41
    """

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> Spread | None:
        """Return that of the values that are numbers; None where there are none."""
        array = np.asarray(values, dtype=float)
        known = array[~np.isnan(array)]
        if not len(known):
            return None
        return cls(float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if self.std is None else f"{self.mean:.2f} ± {self.std:.2f}"


@dataclass(frozen=True)
class ResultRow:
    """What a method reaches.

    Attributes:
        label: the method.
        published: by the names of the columns; percent.
        ours: the same here.
        published_seconds: of a run.
        seconds: of a run here; simulated where its trainings are a table's.
        runs: of ours.
        note: what a reader must know to compare the two.
    """

    label: str
    published: Mapping[str, Spread] = field(default_factory=dict)
    ours: Mapping[str, Spread] = field(default_factory=dict)
    published_seconds: float | None = None
    seconds: float | None = None
    runs: int | None = None
    note: str | None = None


def print_rows(title: str, rows: Sequence[ResultRow], columns: Sequence[str]) -> None:
    """Print two lines a row, published and ours, and the notes below."""
    lines = [line for row in rows for line in _lines(row, columns)]
    print(title)
    print_table("", ("method", "", "seconds", "runs", *columns), lines)
    notes: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            notes.setdefault(row.note, []).append(row.label)
    for note, labels in notes.items():
        print(f"{', '.join(dict.fromkeys(map(_method, labels)))}: {note}")


def _method(label: str) -> str:
    """Return a label without its N.

    >>> _method("Optimal, N = 100")
    'Optimal'
    """
    return label.partition(", N = ")[0]


def _lines(row: ResultRow, columns: Sequence[str]) -> Iterator[list[Any]]:
    label = row.label
    if row.published:
        yield [label, "published", row.published_seconds, None, *(row.published.get(column) for column in columns)]
        label = ""
    if row.ours:
        yield [label, "here", row.seconds, row.runs, *(row.ours.get(column) for column in columns)]


def write_rows(path: Path, rows: Sequence[ResultRow], columns: Sequence[str]) -> None:
    """Write a line for each row and column as CSV."""
    write_csv(path, (line for row in rows for column in columns if (line := _csv_line(row, column))), _CSV)


def _csv_line(row: ResultRow, column: str) -> dict[str, Any] | None:
    published, ours = row.published.get(column), row.ours.get(column)
    if published is None and ours is None:
        return None
    return {
        "row": row.label,
        "column": column,
        **({} if published is None else {"published_mean": published.mean, "published_std": published.std}),
        **({} if ours is None else {"mean": round(ours.mean, 4), "std": ours.std and round(ours.std, 4)}),
        "runs": row.runs if ours else None,
        "published_seconds": row.published_seconds,
        "seconds": row.seconds and round(row.seconds, 3),
        "note": row.note,
    }
