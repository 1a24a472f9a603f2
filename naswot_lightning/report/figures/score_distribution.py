"""How the scores of a search's candidates are distributed, with the picks as ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from naswot_lightning.report.figures import style
from naswot_lightning.report.ranked import ranked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run

_FEWEST_BINS, _MOST_BINS = 12, 60
_TICK = 0.06  # of the height of the figure


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw a histogram of the scores, and a tick a pick on the axis below; None without scores."""
    found = ranked(run)
    if found is None:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axis = figure.subplots()
    axis.hist(found.values, _edges(found.values).tolist(), color=style.CANDIDATES, edgecolor="white", linewidth=0.4)
    axis.vlines(
        found.values[found.marked], 0, _TICK, transform=axis.get_xaxis_transform(), color=style.PICKED["color"],
        linewidth=2.0, label=style.plain(found.mark),
    )  # fmt: skip
    axis.set_xscale(style.scale(found.values))
    axis.set(xlabel=f"score: {style.plain(found.name)}", ylabel="candidates")
    axis.locator_params(axis="y", integer=True)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(loc="best", fontsize="small")
    figure.suptitle(style.wrapped(found.title, 80), fontsize="medium")
    return figure


def _edges(values: np.ndarray) -> np.ndarray:
    """Return the edges of bins of equal width on the axis: as many as the values fill (numpy's "auto")."""
    log = style.scale(values) == "log"
    shown = np.log10(values) if log else values
    count = min(max(len(np.histogram_bin_edges(shown, "auto")) - 1, _FEWEST_BINS), _MOST_BINS) if np.ptp(shown) else 1
    edges = np.histogram_bin_edges(shown, count)
    return np.asarray(10**edges if log else edges)
