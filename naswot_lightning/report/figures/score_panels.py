"""Scores against accuracies, a panel for each data set of each table (the paper's Figures 3, 9 and 10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.statistics import Estimate, estimate, resampled_tau
from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ACROSS = 3  # panels in a line
_MILLION = 1e6


@dataclass(frozen=True)
class ScorePanel:
    """A score and an accuracy of each of n networks."""

    table: str
    """what knows the accuracies."""
    space: str
    accuracy: str
    """which accuracy it is."""
    images: str
    """the data set of the mini-batch."""
    architectures: Sequence[str]
    scores: np.ndarray
    params: np.ndarray
    accuracies: np.ndarray
    """(n,) percent."""
    published: float | None
    """Kendall's tau of the paper; None where none is on record."""

    @cached_property
    def tau(self) -> Estimate:
        """Kendall's tau of score and accuracy."""
        return estimate(resampled_tau, self.scores.tolist(), self.accuracies.tolist())

    @cached_property
    def tau_of_params(self) -> Estimate:
        """The same of model size, on the same networks."""
        return estimate(resampled_tau, self.params.tolist(), self.accuracies.tolist())


def draw(panels: Sequence[ScorePanel]) -> Figure:
    """Draw a point per network, its shade the parameters; labels that are equal stand at the edges alone."""
    from matplotlib.figure import Figure

    across, along = min(len(panels), _ACROSS), math.ceil(len(panels) / _ACROSS)
    figure = Figure(figsize=(1.0 + 4.6 * across, 4.2 * along), layout="constrained")
    axes = figure.subplots(along, across, squeeze=False).ravel().tolist()
    for place, (axis, panel) in enumerate(zip(axes, panels, strict=False)):
        is_last = place % across == across - 1 or place == len(panels) - 1
        _draw_panel(figure, axis, panel, "parameters (millions)" if is_last else "")
        if place % across == 0:
            axis.set_ylabel("accuracy (%)")
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return figure


def _draw_panel(figure: Any, axis: Any, panel: ScorePanel, shades: str) -> None:
    points = axis.scatter(
        panel.scores, panel.accuracies, s=7, c=panel.params / _MILLION, cmap=style.color_map(), linewidths=0, alpha=0.8
    )
    figure.colorbar(points, ax=axis, label=shades)
    axis.set_xlabel(f"score on {style.plain(panel.images)}")
    axis.set_title("\n".join(style.plain(line) for line in _heading(panel)), fontsize="small")
    axis.locator_params(axis="x", nbins=5)
    axis.grid(alpha=0.3)


def _heading(panel: ScorePanel) -> list[str]:
    published = "none published" if panel.published is None else f"published {panel.published:.3f}"
    return [f"{panel.space}: {panel.accuracy}", f"Kendall tau {panel.tau:.3f}, n = {panel.tau.n}; {published}"]
