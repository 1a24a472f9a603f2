"""Scores against accuracies, a panel for each data set of each table (the paper's Figures 3, 9 and 10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.reproduce.panels import Panel

_ACROSS = 3  # panels in a line
_MILLION = 1e6


def draw(panels: Sequence[Panel], taus: Sequence[Estimate]) -> Figure:
    """Draw a point a network, its shade the parameters; labels that are equal stand at the edges alone.

    Args:
        panels: of n networks each.
        taus: of each panel, with n.
    """
    from matplotlib.figure import Figure

    across, along = min(len(panels), _ACROSS), math.ceil(len(panels) / _ACROSS)
    figure = Figure(figsize=(1.0 + 4.6 * across, 4.2 * along), layout="constrained")
    axes = figure.subplots(along, across, squeeze=False).ravel().tolist()
    for place, (axis, panel, tau) in enumerate(zip(axes, panels, taus, strict=False)):
        is_last = place % across == across - 1 or place == len(panels) - 1
        _draw_panel(figure, axis, panel, tau, "parameters (millions)" if is_last else "")
        if place % across == 0:
            axis.set_ylabel("accuracy (%)")
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return figure


def _draw_panel(figure: Any, axis: Any, panel: Panel, tau: Estimate, shades: str) -> None:
    points = axis.scatter(
        panel.scores, panel.accuracies, s=7, c=panel.params / _MILLION, cmap=style.color_map(), linewidths=0, alpha=0.8
    )
    figure.colorbar(points, ax=axis, label=shades)
    axis.set_xlabel(f"score on {style.plain(panel.images)}")
    axis.set_title("\n".join(style.plain(line) for line in _heading(panel, tau)), fontsize="small")
    axis.locator_params(axis="x", nbins=5)
    axis.grid(alpha=0.3)


def _heading(panel: Panel, tau: Estimate) -> list[str]:
    own = "not defined" if tau.value is None else f"{tau.value:.3f}"
    interval = "" if tau.low is None else f" [{tau.low:.3f}, {tau.high:.3f}]"
    published = "none published" if panel.published is None else f"published {panel.published:.3f}"
    return [f"{panel.space}: {panel.accuracy}", f"Kendall tau {own}{interval}, n = {tau.n}; {published}"]
