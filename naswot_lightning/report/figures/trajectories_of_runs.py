"""The score during training of several runs over each other: a color a run, a thin line a network, a thick mean."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from naswot_lightning.analysis.trajectory import Points
from naswot_lightning.report.figures import style
from naswot_lightning.report.several.comparison import RunsComparison, relative

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = ("-", "--", "-.", ":")  # told apart in grey
_MARKERS = "os^Dv"
_MARKED = 12  # points of a line that carry its marker


def draw_runs(found: RunsComparison) -> Figure | None:
    """Draw the scores of the runs on the left, and on the right relative to each network's score at init."""
    if not any(found.trajectories):
        return None
    figure, axes = style.panels(f"Score during training of {len(found.names)} runs; thick: mean over networks")
    shades = style.color_map()([place / max(len(found.names) - 1, 1) for place in range(len(found.names))])
    for place, (name, lines) in enumerate(zip(found.names, found.trajectories, strict=True)):
        look = {"color": tuple(shades[place]), "linestyle": _LINES[place % len(_LINES)]}
        label = f"{style.plain(name)} (n = {len(lines)})"
        _draw(axes[0], lines, label, {**look, "marker": _MARKERS[place % len(_MARKERS)]})
        _draw(axes[1], [relative(points) for points in lines], label, look)
    axes[0].set(xlabel="epochs", ylabel=r"score $s = \log|K_H|$ (natural log)", title="score")
    axes[1].set(xlabel="epochs", ylabel="score / score at init", title="relative to the score at init")
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small", title="run")
    return figure


def _draw(axis: Any, lines: Sequence[Points], label: str, look: dict[str, Any]) -> None:
    for points in filter(None, lines):
        axis.plot(*zip(*points, strict=True), linewidth=0.7, alpha=0.35, label="_", **{**look, "marker": ""})
    mean = mean_line([points for points in lines if points])
    if mean:
        every = max(1, len(mean) // _MARKED)
        axis.plot(*zip(*mean, strict=True), linewidth=2.2, markersize=4, markevery=every, label=label, **look)


def mean_line(lines: Sequence[Points]) -> Points:
    """Return the mean over lines where all of them have a point: of longer trainings, only what all have.

    >>> mean_line([((0.0, 1.0), (1.0, 3.0)), ((0.0, 2.0), (1.0, 4.0), (2.0, 5.0))])
    ((0.0, 1.5), (1.0, 3.5))
    """
    values = [dict(points) for points in lines]
    shared = sorted(set.intersection(*map(set, values))) if values else []
    return tuple((epoch, fmean(each[epoch] for each in values)) for epoch in shared)
