"""Correlations between the images' Jacobians of a few untrained networks, by accuracy (the paper's first version)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.report.figures import similarity_grid, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run

_BINS = 50


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw a histogram a network of the correlations of all pairs of images."""
    found = run.jacobians
    if found is None:
        return None
    above = np.triu_indices(found.matrices.shape[1], k=1)
    pairs = found.matrices[:, above[0], above[1]]
    edges = np.linspace(min(float(pairs.min()), 0.0), 1.0, _BINS + 1)

    def panel(axis: Any, matrix: np.ndarray) -> None:
        axis.hist(np.clip(matrix[above], edges[0], 1.0), edges.tolist(), color=style.CANDIDATES, linewidth=0)
        axis.axvline(0.0, color="0.2", linewidth=0.6)
        axis.set_yscale("log")
        axis.tick_params(labelsize="x-small")
        axis.grid(axis="x", alpha=0.3)

    figure = similarity_grid.draw(found, "Correlations of the Jacobian's rows", panel, aspect=0.75)
    figure.supxlabel("correlation of two images", fontsize="small")
    figure.supylabel("pairs of images", fontsize="small")
    return figure
