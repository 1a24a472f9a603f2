"""Scores of candidates, and of one network drawn again and again; how similar the images are to a few networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.measurements import ABLATIONS, SIZES, SelectedNetwork, Similarities
from naswot_lightning.report.figures import style
from naswot_lightning.report.findings import Findings, scored_candidates
from naswot_lightning.report.run import Run

if TYPE_CHECKING:
    import pandas as pd
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

    columns = [np.flatnonzero(np.equal(found.ranges, each)) for each in sorted(set(found.ranges))]
    along = max(map(len, columns))
    size = (_SIDE * len(columns) + 0.8, 0.9 + (0.93 * _SIDE * aspect + 0.2) * along)
    figure = Figure(figsize=(max(size[0], 4.5), size[1]), layout="constrained")
    grid = figure.subplots(along, len(columns), squeeze=False, sharex=True, sharey=True)
    for column, places in enumerate(columns):
        accuracies = [found.accuracies[place] for place in places]
        for axis in grid[len(places) :, column]:
            axis.set_visible(False)
        for row, place in enumerate(places):
            axis = grid[row, column]
            draw_panel(axis, found.matrices[place])
            axis.tick_params(labelbottom=row == len(places) - 1)
            is_head = row == 0 and len(places) > 1
            above = f"{min(accuracies):.1f} to {max(accuracies):.1f} %\n" if is_head else ""
            axis.set_title(f"{above}{accuracies[row]:.2f} %", fontsize="small")
    title = f"{what}: {found.title}"
    figure.suptitle(style.wrapped(title, int(12.5 * figure.get_figwidth())), fontsize="medium")
    return figure


_SCORE_BINS = 30
# Of the height of the figure.
_TICK = 0.06
# Of the distance between two batch sizes.
_GROUP = 0.85
# White in a box, on which its black median is seen.
_LIGHT = 0.45


def draw_distribution(run: Run, findings: Findings) -> Figure | None:
    """Draw a histogram of the scores of a search, and a tick per pick on the axis below; None without scores."""
    found = scored_candidates(run)
    if found is None:
        return None
    figure, (axis,) = style.panels(found.title, 1)
    # Of equal width on the axis.
    log = style.scale(found.values) == "log"
    shown = np.log10(found.values) if log else found.values
    edges = np.histogram_bin_edges(shown, _SCORE_BINS if np.ptp(shown) else 1)
    axis.hist(
        found.values, (10**edges if log else edges).tolist(), color=style.CANDIDATES, edgecolor="white", linewidth=0.4
    )
    axis.vlines(
        found.values[found.marked], 0, _TICK, transform=axis.get_xaxis_transform(), color=style.PICKED["color"],
        linewidth=2.0, label=style.plain(found.mark),
    )  # fmt: skip
    axis.set_xscale(style.scale(found.values))
    axis.set(xlabel=f"score: {style.plain(found.name)}", ylabel="candidates")
    axis.locator_params(axis="y", integer=True)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(loc="best", fontsize="small")
    return figure


def draw_figure5(run: Run, findings: Findings) -> Figure | None:
    """Draw the scores of ten networks that a run keeps (the paper's Figure 5); None where none was measured."""
    kept = run.ablation
    if kept is None or kept.samples.empty:
        return None
    own, count = kept.header, 1 + int(kept.samples["number"].max())
    title = (
        f"{own.space}, n = {len(own.networks)} networks, {count} scores each way, {own.batch_size} images of "
        f"{own.images}, seeds {own.seed} to {own.seed + count - 1}; {own.source}"
    )
    return draw_ablation(own.networks, kept.samples, title)


def draw_ablation(networks: Sequence[SelectedNetwork], samples: pd.DataFrame, title: str) -> Figure:
    """Draw a box per network and way; those of several batch sizes are divided by the lowest score of their size."""
    figure, axes = style.grid(4, (4.95, 3.7))
    colors = style.color_map()([number / max(len(networks) - 1, 1) for number in range(len(networks))])
    for axis, ablation in zip(axes, ABLATIONS, strict=True):
        own, places = samples[samples["ablation"] == ablation].dropna(), range(len(networks))
        if ablation == SIZES:
            sizes = sorted(own["batch_size"].unique())
            width = _GROUP / len(networks)
            for number, size in enumerate(sizes):
                of_size = own[own["batch_size"] == size]
                boxes = [of_size.loc[of_size["network"] == place, "relative"] for place in places]
                at = [number + (place - (len(networks) - 1) / 2) * width for place in places]
                _color(axis.boxplot(boxes, positions=at, widths=0.8 * width, patch_artist=True), colors)
            axis.set_xticks(range(len(sizes)), [str(size) for size in sizes])
            axis.set(xlabel="images (the ten networks from left to right)", ylabel="score / lowest score of this size")
        else:
            boxes = [own.loc[own["network"] == place, "score"] for place in places]
            _color(axis.boxplot(boxes, widths=0.6, patch_artist=True), colors)
            labels = [f"{each.percentile}-{each.percentile + 5}\n{each.accuracy:.1f} %" for each in networks]
            axis.set_xticks(range(1, len(networks) + 1), labels, fontsize="x-small")
            axis.set(xlabel="percentile and accuracy of the network", ylabel="score (natural log)")
        axis.set_title(ablation, fontsize="medium")
        axis.grid(axis="y", alpha=0.3)
    figure.suptitle(style.wrapped(title, 130), fontsize="medium")
    return figure


def _color(drawn: Any, colors: Any) -> None:
    for box, color in zip(drawn["boxes"], colors, strict=True):
        box.set(facecolor=[_LIGHT + (1 - _LIGHT) * part for part in color[:3]], edgecolor="black", linewidth=0.7)
    for median in drawn["medians"]:
        median.set(color="black", linewidth=1.6)
    for flier in drawn["fliers"]:
        flier.set(markersize=3)
