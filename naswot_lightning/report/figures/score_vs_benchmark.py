"""The score of all candidates of a search against the accuracies that a benchmark knows (the paper's Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from naswot_lightning.analysis.results import Network
from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.report.figures import style
from naswot_lightning.report.figures.score_vs_accuracy import heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(networks: Sequence[Network], tau: Estimate, title: str, score: str, accuracy: str) -> Figure | None:
    """Draw a point a network, its shade the parameters; None without networks.

    Args:
        networks: with a score and an accuracy.
        tau: of the two.
        title: of the figure.
        score: label of the axis.
        accuracy: which accuracy it is.
    """
    if not networks:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    axis = figure.subplots()
    first = [network.results[0] for network in networks]
    sizes = [result.params / 1e6 for result in first if result.params is not None]
    known = len(sizes) == len(first)
    points = axis.scatter(
        [result.score_init or 0.0 for result in first],
        [100 * (result.test_acc or 0.0) for result in first],
        s=10 if len(first) > 100 else 24,
        c=sizes if known else "0.3",
        cmap=style.color_map(),
        linewidths=0,
        alpha=0.8,
    )
    if known:
        figure.colorbar(points, ax=axis, label="parameters (millions)")
    axis.set(xlabel=f"score: {style.plain(score)}", ylabel=f"accuracy (%), {style.plain(accuracy)}")
    axis.set_title(heading("", tau), fontsize="medium")
    axis.grid(alpha=0.3)
    figure.suptitle(style.plain(title), fontsize="medium")
    return figure
