"""How similar the images are to a few untrained networks of a run, a column per range of accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.measurements import Similarities
from naswot_lightning.report.figures import style
from naswot_lightning.report.findings import Findings
from naswot_lightning.report.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches, of a panel.
_SIDE = 1.9
_BINS = 50


def draw_kernels(run: Run, findings: Findings) -> Figure | None:
    """Draw the normalised kernel K_H / N_A of each network that is kept (the paper's Figure 1).

    The greys are the same in all panels: the darker, the more similar.
    """
    found = run.kernels
    if found is None:
        return None
    lowest = float(found.matrices.min())
    drawn: list[Any] = []

    def panel(axis: Any, matrix: np.ndarray) -> None:
        drawn.append(axis.imshow(matrix, cmap="Greys", vmin=min(lowest, 0.99), vmax=1.0, interpolation="nearest"))
        axis.set(xticks=[], yticks=[])

    figure = _grid(found, "K_H normalised by its diagonal", panel, aspect=1.0)
    figure.colorbar(drawn[0], ax=figure.axes, aspect=30, label="share of rectified units in common")
    return figure


def draw_jacobians(run: Run, findings: Findings) -> Figure | None:
    """Draw histograms of the correlations between the images' Jacobians (the paper's first version)."""
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

    figure = _grid(found, "Correlations of the Jacobian's rows", panel, aspect=0.75)
    figure.supxlabel("correlation of two images", fontsize="small")
    figure.supylabel("pairs of images", fontsize="small")
    return figure


def _grid(found: Similarities, what: str, draw_panel: Callable[[Any, np.ndarray], Any], aspect: float) -> Figure:
    """Draw a panel per network under the accuracies of its range; ``aspect`` is height by width of a panel."""
    from matplotlib.figure import Figure

    metadata = found.metadata
    columns = sorted(set(metadata.columns))
    by_column = [[place for place, own in enumerate(metadata.columns) if own == column] for column in columns]
    along = max(map(len, by_column))
    size = (_SIDE * len(columns) + 0.8, 0.9 + (0.93 * _SIDE * aspect + 0.2) * along)
    figure = Figure(figsize=(max(size[0], 4.5), size[1]), layout="constrained")
    grid = figure.subplots(along, len(columns), squeeze=False, sharex=True, sharey=True)
    for column, places in enumerate(by_column):
        accuracies = [metadata.accuracies[place] for place in places]
        for row in range(along):
            axis = grid[row][column]
            if row >= len(places):
                axis.set_visible(False)
                continue
            draw_panel(axis, found.matrices[places[row]])
            axis.tick_params(labelbottom=row == len(places) - 1)
            is_head = row == 0 and len(places) > 1
            above = f"{min(accuracies):.1f} to {max(accuracies):.1f} %\n" if is_head else ""
            axis.set_title(f"{above}{accuracies[row]:.2f} %", fontsize="small")
    left_out = f", {metadata.left_out} left out" if metadata.left_out else ""
    title = (
        f"{what}: {metadata.space}, {metadata.batch_size} images of {metadata.images}, seed {metadata.seed}; "
        f"{len(metadata.architectures)} of n = {metadata.known:,} networks{left_out}, by {metadata.source}"
    )
    figure.suptitle(style.wrapped(title, int(12.5 * figure.get_figwidth())), fontsize="medium")
    return figure
