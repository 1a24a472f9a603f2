"""Kendall's tau of several scores, a group of bars for each data set of each table (the paper's Figure 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GROUP = 0.8  # of the distance between two groups
_DARKEST, _BRIGHTEST = 0.3, 0.9  # of the colour map: what is darker hides an interval
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo", "---")  # tell bars apart without colours


@dataclass(frozen=True)
class Bar:
    """Kendall's tau of a score with an accuracy.

    Attributes:
        table: what knows the accuracies.
        space: of the networks.
        accuracy: which accuracy it is.
        images: the data set of the mini-batch.
        score: its name.
        tau: with its interval; networks without the score are the worst, equal to each other.
        published: of the paper; None where none is on record.
    """

    table: str
    space: str
    accuracy: str
    images: str
    score: str
    tau: Estimate
    published: float | None = None


def draw(bars: Sequence[Bar]) -> Figure:
    """Draw a bar a score with its interval, and a diamond where a correlation is published."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys((bar.space, bar.accuracy) for bar in bars))
    scores = list(dict.fromkeys(bar.score for bar in bars))
    figure = Figure(figsize=(3.0 + 0.55 * len(groups) * len(scores), 4.4), layout="constrained")
    axis = figure.subplots()
    width = _GROUP / len(scores)
    for number, score in enumerate(scores):
        share = number / max(len(scores) - 1, 1)
        color = colormaps["viridis"](_DARKEST + (_BRIGHTEST - _DARKEST) * share)
        look = {"color": color, "hatch": _HATCHES[number % len(_HATCHES)], "edgecolor": "white"}
        for bar in (each for each in bars if each.score == score):
            center = groups.index((bar.space, bar.accuracy)) + (number - (len(scores) - 1) / 2) * width
            _draw_bar(axis, bar, center, 0.9 * width, look)
    axis.set_xticks(range(len(groups)), ["\n".join(map(_wrapped, group)) for group in groups], fontsize="small")
    axis.axhline(0.0, color="0.2", linewidth=0.8)
    axis.set_ylabel(f"Kendall tau, 95 % interval, {_counts(bars)}")
    axis.grid(axis="y", alpha=0.3)
    handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(list(handles.values()), list(handles), loc="outside right center", fontsize="small")
    return figure


def _draw_bar(axis: Any, bar: Bar, center: float, width: float, look: Mapping[str, Any]) -> None:
    if bar.tau.value is not None:
        axis.bar([center], [bar.tau.value], width, label=style.plain(bar.score), **look)
    if bar.tau.value is not None and bar.tau.low is not None and bar.tau.high is not None:
        ends = [[bar.tau.value - bar.tau.low], [bar.tau.high - bar.tau.value]]
        axis.errorbar([center], [bar.tau.value], yerr=ends, color="black", elinewidth=1.4, capsize=3)
    if bar.published is not None:
        axis.plot(
            [center], [bar.published], "D", color="#d62728", markeredgecolor="black", markersize=5, label="published"
        )


def _wrapped(text: str) -> str:
    return style.plain(text).replace(", ", ",\n")


def _counts(bars: Sequence[Bar]) -> str:
    fewest, most = min(bar.tau.n for bar in bars), max(bar.tau.n for bar in bars)
    return f"n = {most}" if fewest == most else f"n = {fewest} to {most}"
