"""The scores of a run against known accuracies, a panel a score (the paper's Figure 3)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.evidence import NetworksWithAccuracy
from naswot_lightning.analysis.statistics import estimate, resampled_tau
from naswot_lightning.columns import PARAMS
from naswot_lightning.report.figures import style
from naswot_lightning.report.figures.score_vs_accuracy import heading
from naswot_lightning.report.known import known

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run

_ACROSS = 3  # panels in a line
_MILLION = 1e6


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw a point a network with a score and an accuracy, its shade the parameters; None without accuracies."""
    found = known(run)
    if found is None:
        return None
    from matplotlib.figure import Figure

    names = [name for name, values in found.scores.items() if not np.isnan(values).all()]
    if not names:
        return None
    across = min(len(names), _ACROSS) if len(names) != 4 else 2
    along = math.ceil(len(names) / across)
    figure = Figure(figsize=(1.4 + 4.4 * across, 0.6 + 4.0 * along), layout="constrained")
    grid = figure.subplots(along, across, squeeze=False).ravel().tolist()
    for axis, name in zip(grid, names, strict=False):
        points = _draw_panel(axis, found, name, found.scores[name])
    for axis in grid[len(names) :]:
        axis.set_visible(False)
    if not np.isnan(found.sizes[PARAMS.name]).any():
        figure.colorbar(points, ax=grid, aspect=30, label="parameters (millions)")
    figure.suptitle(style.wrapped(title(found), 60 * across), fontsize="medium")
    return figure


def _draw_panel(axis: Any, found: NetworksWithAccuracy, name: str, values: np.ndarray) -> Any:
    there = ~np.isnan(values)
    params = found.sizes[PARAMS.name] / _MILLION
    colored = not np.isnan(params).any()
    points = axis.scatter(
        values[there], found.accuracies[there], s=12 if there.sum() > 100 else 24, cmap=style.color_map(),
        c=params[there] if colored else "0.3", vmin=params.min() if colored else None,
        vmax=params.max() if colored else None, linewidths=0, alpha=0.8,
    )  # fmt: skip
    tau = estimate(resampled_tau, values[there].tolist(), found.accuracies[there].tolist())
    missing = len(there) - int(there.sum())
    axis.set_title(heading("", tau) + (f"; {missing:,} without a score" if missing else ""), fontsize="small")
    axis.set_xscale(style.scale(values[there]))
    axis.set(xlabel=f"score: {style.plain(name)}", ylabel="accuracy (%)")
    axis.grid(alpha=0.3)
    return points


def title(found: NetworksWithAccuracy) -> str:
    """Return what the networks are, how many, and whose accuracies they have."""
    return f"{found.space}, scored on {found.images}, n = {len(found.accuracies):,} networks; {found.source}"
