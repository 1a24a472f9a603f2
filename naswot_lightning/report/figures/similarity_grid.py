"""Networks by accuracy, a column a range: what the pictures of kernels and Jacobians share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.measurements import Similarities
from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIDE = 1.9  # inches, of a panel


def draw(found: Similarities, what: str, draw_panel: Callable[[Any, np.ndarray], Any], aspect: float) -> Figure:
    """Draw a panel a network under the accuracies of its range.

    Args:
        found: a matrix a network.
        what: the matrices are, for the title.
        draw_panel: draws one of them into its axes.
        aspect: height of a panel by its width.
    """
    from matplotlib.figure import Figure

    metadata = found.metadata
    columns = sorted(set(metadata.columns))
    by_column = [[place for place, own in enumerate(metadata.columns) if own == column] for column in columns]
    along = max(map(len, by_column))
    size = (_SIDE * len(columns) + 0.8, 0.9 + (0.93 * _SIDE * aspect + 0.2) * along)
    figure = Figure(figsize=(max(size[0], 4.5), size[1]), layout="constrained")
    grid = figure.subplots(along, len(columns), squeeze=False, sharex=True, sharey=True)
    for column, places in enumerate(by_column):
        for row in range(along):
            axis = grid[row][column]
            if row >= len(places):
                axis.set_visible(False)
                continue
            draw_panel(axis, found.matrices[places[row]])
            axis.tick_params(labelbottom=row == len(places) - 1)
            own = f"{metadata.accuracies[places[row]]:.2f} %"
            above = f"{_range(metadata.accuracies, places)}\n" if row == 0 and len(places) > 1 else ""
            axis.set_title(above + own, fontsize="small")
    figure.suptitle(style.wrapped(_title(found, what), int(12.5 * figure.get_figwidth())), fontsize="medium")
    return figure


def _range(accuracies: tuple[float, ...], places: list[int]) -> str:
    low, high = min(accuracies[place] for place in places), max(accuracies[place] for place in places)
    return f"{low:.1f} to {high:.1f} %"


def _title(found: Similarities, what: str) -> str:
    metadata = found.metadata
    left_out = f", {metadata.left_out} left out" if metadata.left_out else ""
    return (
        f"{what}: {metadata.space}, {metadata.batch_size} images of {metadata.images}, seed {metadata.seed}; "
        f"{len(metadata.architectures)} of n = {metadata.known:,} networks{left_out}, by {metadata.source}"
    )
