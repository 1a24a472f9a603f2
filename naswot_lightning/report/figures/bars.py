"""Kendall's tau of scores, and accuracies of methods, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from naswot_lightning.analysis.statistics import Estimate, estimate, resampled_tau
from naswot_lightning.ranking import ranks_of
from naswot_lightning.report.figures import style
from naswot_lightning.report.findings import Findings, networks_with_accuracy
from naswot_lightning.report.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of the distance between two groups.
_GROUP = 0.8
# Of the colour map: what is darker hides an interval.
_DARKEST, _BRIGHTEST = 0.3, 0.9
# Tell bars apart without colours.
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo", "---")
# Of a line: published above, ours below.
_OFFSET = 0.18
# Colour, marker.
_PUBLISHED, _OURS = ("0.45", "s"), ("#31688e", "o")


@dataclass(frozen=True)
class ScoreTau:
    """Kendall's tau of a score with an accuracy."""

    table: str
    """what knows the accuracies."""
    space: str
    accuracy: str
    images: str
    """the data set of the mini-batch."""
    score: str
    tau: Estimate
    published: float | None = None
    """of the paper; None where none is on record."""


def draw_figure4(run: Run, findings: Findings) -> Figure | None:
    """Draw every score of a run with known accuracies, and the sizes (the paper's Figure 4)."""
    found = networks_with_accuracy(run)
    if found is None or len(found.accuracies) < 2:
        return None
    accuracies = found.accuracies.tolist()
    bars = []
    for name, values in {**found.scores, **found.sizes}.items():
        if not np.isnan(values).all():
            tau = estimate(resampled_tau, ranks_of(values), accuracies)
            bars.append(ScoreTau("", found.space, found.source, found.images, name, tau))
    figure = draw_taus(bars)
    figure.suptitle(style.plain(f"scored on {found.images}, n = {len(accuracies):,} networks"), fontsize="medium")
    return figure


def draw_taus(bars: Sequence[ScoreTau]) -> Figure:
    """Draw a group of bars per data set and table, and a diamond where a correlation is published."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys((bar.space, bar.accuracy) for bar in bars))
    scores = list(dict.fromkeys(bar.score for bar in bars))
    figure = Figure(figsize=(3.0 + 0.55 * len(groups) * len(scores), 4.4), layout="constrained")
    axis: Any = figure.subplots()
    width = _GROUP / len(scores)
    for bar in sorted(bars, key=lambda each: scores.index(each.score)):
        number = scores.index(bar.score)
        center = groups.index((bar.space, bar.accuracy)) + (number - (len(scores) - 1) / 2) * width
        if bar.tau.value is not None:
            share = number / max(len(scores) - 1, 1)
            color = colormaps["viridis"](_DARKEST + (_BRIGHTEST - _DARKEST) * share)
            look: dict[str, Any] = {"color": color, "hatch": _HATCHES[number % len(_HATCHES)], "edgecolor": "white"}
            axis.bar([center], [bar.tau.value], 0.9 * width, label=style.plain(bar.score), **look)
            if (ends := ends_of(bar.tau)) is not None:
                axis.errorbar([center], [bar.tau.value], yerr=ends, color="black", elinewidth=1.4, capsize=3)
        if bar.published is not None:
            mark: dict[str, Any] = {"color": "#d62728", "markeredgecolor": "black", "markersize": 5}
            axis.plot([center], [bar.published], "D", label="published", **mark)
    labels = ["\n".join(style.plain(text).replace(", ", ",\n") for text in group) for group in groups]
    axis.set_xticks(range(len(groups)), labels, fontsize="small")
    axis.axhline(0.0, color="0.2", linewidth=0.8)
    fewest, most = min(bar.tau.n for bar in bars), max(bar.tau.n for bar in bars)
    count = f"n = {most}" if fewest == most else f"n = {fewest} to {most}"
    axis.set_ylabel(f"Kendall tau, 95 % interval, {count}")
    axis.grid(axis="y", alpha=0.3)
    style.legend(figure, axis, loc="outside right center")
    return figure


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
class PublishedRow:
    """A row of a table of the paper, or of our own beside these."""

    label: str
    """the method."""
    kind: Literal["naswot", "random", "optimal", "algorithm", "weight sharing"]
    """how it is run here; methods with weight sharing are quoted alone."""
    values: Mapping[str, Spread] = field(default_factory=dict)
    """percent, by the names of the columns; empty where the paper has no such row."""
    samples: int = 1
    """N, the architectures that a run looks at."""
    algorithm: str | None = None
    """the name of ``--algorithm``."""
    seconds: float | None = None
    """of a run."""
    note: str | None = None
    """what is odd about its numbers."""


@dataclass(frozen=True)
class ResultRow:
    """What a method reaches here, beside the paper."""

    paper: PublishedRow
    ours: Mapping[str, Spread] = field(default_factory=dict)
    """percent, by the names of the columns."""
    seconds: float | None = None
    """of a run; simulated where its trainings are a table's."""
    runs: int | None = None
    note: str | None = None
    """what a reader must know to compare the two."""


def draw_published(rows: Sequence[ResultRow], columns: Sequence[str], title: str) -> Figure:
    """Draw a table of the paper, a panel per column: means with bars of one standard deviation.

    A row without figures of ours shows the published ones.
    """
    from matplotlib.figure import Figure

    height = 1.6 + 0.3 * len(rows)
    figure = Figure(figsize=(2.2 + 2.6 * len(columns), height), layout="constrained")
    axes = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for axis, column in zip(axes, columns, strict=True):
        means = [found.mean for row in rows for found in (row.paper.values.get(column), row.ours.get(column)) if found]
        # A range around the better three quarters of the means: searches that fail would hide all else.
        ordered = sorted(means) or [0.0, 100.0]
        low, high = ordered[len(ordered) // 4], ordered[-1]
        margin = 0.6 * (high - low) or 1.0
        axis.set_xlim(low - margin, high + margin / 2)
        for place, row in enumerate(rows):
            _draw_point(axis, row.paper.values.get(column), place - _OFFSET, "published", *_PUBLISHED)
            _draw_point(axis, row.ours.get(column), place + _OFFSET, "here", *_OURS)
        axis.set_title(style.plain(column), fontsize="medium")
        axis.set_xlabel("accuracy (%)")
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(rows)), [style.plain(row.paper.label) for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    style.legend(figure, axes[0], loc="outside lower center", ncols=2)
    figure.suptitle(style.plain(title), fontsize="small", wrap=True)
    return figure


def _draw_point(axis: Any, found: Spread | None, place: float, label: str, color: str, marker: str) -> None:
    if found is None:
        return
    if found.mean < axis.get_xlim()[0]:
        # In this transform x is a share of the panel.
        look = {"color": color, "transform": axis.get_yaxis_transform(), "va": "center", "size": 7}
        axis.text(0.01, place, f"\N{LEFTWARDS ARROW} {found.mean:.2f}", **look)
    else:
        axis.errorbar(
            [found.mean], [place], xerr=[found.std or 0.0], fmt=marker, color=color, markersize=4, elinewidth=1,
            capsize=2, label=label,
        )  # fmt: skip


def ends_of(tau: Estimate) -> list[list[float]] | None:
    """Return how far an interval goes below and above its value; None where there is none."""
    if tau.value is None or tau.low is None or tau.high is None:
        return None
    return [[tau.value - tau.low], [tau.high - tau.value]]
