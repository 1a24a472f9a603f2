"""A table of the paper as a picture: a panel a column, the published mean and ours for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OFFSET = 0.18  # of a line: published above, ours below
_PUBLISHED, _OURS = ("0.45", "s"), ("#31688e", "o")  # colour, marker


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
    """What a method reaches: in the paper, and here."""

    label: str
    """the method."""
    published: Mapping[str, Spread] = field(default_factory=dict)
    """percent, by the names of the columns."""
    ours: Mapping[str, Spread] = field(default_factory=dict)
    published_seconds: float | None = None
    """of a run."""
    seconds: float | None = None
    """of a run here; simulated where its trainings are a table's."""
    runs: int | None = None
    """of ours."""
    note: str | None = None
    """what a reader must know to compare the two."""


def draw(rows: Sequence[ResultRow], columns: Sequence[str], title: str) -> Figure:
    """Draw means with bars of one standard deviation; a row without figures of ours shows the published ones."""
    from matplotlib.figure import Figure

    height = 1.6 + 0.3 * len(rows)
    figure = Figure(figsize=(2.2 + 2.6 * len(columns), height), layout="constrained")
    axes = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for axis, column in zip(axes, columns, strict=True):
        _draw_panel(axis, rows, column)
    axes[0].set_yticks(range(len(rows)), [style.plain(row.label) for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    handles, labels = axes[0].get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=2, fontsize="small")
    figure.suptitle(style.plain(title), fontsize="small", wrap=True)
    return figure


def _draw_panel(axis: Any, rows: Sequence[ResultRow], column: str) -> None:
    means = [found.mean for row in rows for found in (row.published.get(column), row.ours.get(column)) if found]
    axis.set_xlim(*_range(means))
    for place, row in enumerate(rows):
        _draw_point(axis, row.published.get(column), place - _OFFSET, "published", *_PUBLISHED)
        _draw_point(axis, row.ours.get(column), place + _OFFSET, "here", *_OURS)
    axis.set_title(style.plain(column), fontsize="medium")
    axis.set_xlabel("accuracy (%)")
    axis.grid(axis="x", alpha=0.3)


def _draw_point(axis: Any, found: Spread | None, place: float, label: str, color: str, marker: str) -> None:
    if found is None:
        return
    if found.mean < axis.get_xlim()[0]:
        left = axis.get_yaxis_transform()  # x is a share of the panel
        axis.text(
            0.01, place, f"\N{LEFTWARDS ARROW} {found.mean:.2f}", color=color, transform=left, va="center", size=7
        )
    else:
        axis.errorbar(
            [found.mean], [place], xerr=[found.std or 0.0], fmt=marker, color=color, markersize=4, elinewidth=1,
            capsize=2, label=label,
        )  # fmt: skip


def _range(means: Sequence[float]) -> tuple[float, float]:
    """Return a range around the better three quarters of the means: searches that fail would hide all else."""
    ordered = sorted(means) or [0.0, 100.0]
    low, high = ordered[len(ordered) // 4], ordered[-1]
    margin = 0.6 * (high - low) or 1.0
    return low - margin, high + margin / 2
