"""The normalised kernels K_H of a few untrained networks, by accuracy (the paper's Figure 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.report.figures import similarity_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw K_H / N_A of each network that is kept, the same greys in all panels: the darker, the more similar."""
    found = run.kernels
    if found is None:
        return None
    lowest = float(found.matrices.min())
    drawn: list[Any] = []

    def panel(axis: Any, matrix: np.ndarray) -> None:
        drawn.append(axis.imshow(matrix, cmap="Greys", vmin=min(lowest, 0.99), vmax=1.0, interpolation="nearest"))
        axis.set(xticks=[], yticks=[])

    figure = similarity_grid.draw(found, "K_H normalised by its diagonal", panel, aspect=1.0)
    figure.colorbar(drawn[0], ax=figure.axes, aspect=30, label="share of rectified units in common")
    return figure
