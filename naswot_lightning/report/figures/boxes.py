"""How scores are distributed: over candidates, and of one network drawn again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.measurements import ABLATIONS, SIZES, Sample, SelectedNetwork, relative_scores
from naswot_lightning.report.figures import style
from naswot_lightning.report.findings import Findings, scored_candidates
from naswot_lightning.report.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST_BINS, _MOST_BINS = 12, 60
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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axis = figure.subplots()
    # Bins of equal width on the axis: as many as the values fill (numpy's "auto").
    log = style.scale(found.values) == "log"
    shown = np.log10(found.values) if log else found.values
    count = min(max(len(np.histogram_bin_edges(shown, "auto")) - 1, _FEWEST_BINS), _MOST_BINS) if np.ptp(shown) else 1
    edges = np.histogram_bin_edges(shown, count)
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
    figure.suptitle(style.wrapped(found.title, 80), fontsize="medium")
    return figure


def draw_figure5(run: Run, findings: Findings) -> Figure | None:
    """Draw the scores of ten networks that a run keeps (the paper's Figure 5); None where none was measured."""
    kept = run.ablation
    if kept is None or not kept.samples:
        return None
    own, count = kept.header, 1 + max(sample.number for sample in kept.samples)
    title = (
        f"{own.space}, n = {len(own.networks)} networks, {count} scores each way, {own.batch_size} images of "
        f"{own.images}, seeds {own.seed} to {own.seed + count - 1}; {own.source}"
    )
    return draw_ablation(own.networks, kept.samples, title)


def draw_ablation(networks: Sequence[SelectedNetwork], samples: Sequence[Sample], title: str) -> Figure:
    """Draw a box per network and way; those of several batch sizes are divided by the lowest score of their size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 8.0), layout="constrained")
    colors = style.color_map()([number / max(len(networks) - 1, 1) for number in range(len(networks))])
    for axis, ablation in zip(figure.subplots(2, 2).ravel().tolist(), ABLATIONS, strict=True):
        own = [sample for sample in samples if sample.ablation == ablation and sample.score == sample.score]
        if ablation == SIZES:
            sizes = sorted({sample.batch_size for sample in own})
            scores = list(zip(relative_scores(own), own, strict=True))
            width = _GROUP / len(networks)
            for place, size in enumerate(sizes):
                boxes = [
                    [x for x, each in scores if (each.batch_size, each.network) == (size, net)] for net in networks
                ]
                places = [place + (number - (len(networks) - 1) / 2) * width for number in range(len(networks))]
                _color(axis.boxplot(boxes, positions=places, widths=0.8 * width, patch_artist=True), colors)
            axis.set_xticks(range(len(sizes)), [str(size) for size in sizes])
            axis.set(xlabel="images (the ten networks from left to right)", ylabel="score / lowest score of this size")
        else:
            boxes = [[sample.score for sample in own if sample.network == network] for network in networks]
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
