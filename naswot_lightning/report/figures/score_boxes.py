"""Scores of ten networks, drawn again and again in four ways, as boxes (the paper's Figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.analysis.measurements import Sample, SelectedNetwork

_GROUP = 0.85  # of the distance between two batch sizes
_LIGHT = 0.45  # of white in a box, on which its black median is seen


def draw(networks: Sequence[SelectedNetwork], samples: Sequence[Sample], title: str) -> Figure:
    """Draw a box a network and way; those of several batch sizes are divided by the lowest score of their size."""
    from matplotlib.figure import Figure

    from naswot_lightning.analysis.measurements import ABLATIONS, SIZES

    figure = Figure(figsize=(11.5, 8.0), layout="constrained")
    colors = style.color_map()([number / max(len(networks) - 1, 1) for number in range(len(networks))])
    for axis, ablation in zip(figure.subplots(2, 2).ravel().tolist(), ABLATIONS, strict=True):
        own = [sample for sample in samples if sample.ablation == ablation and sample.score == sample.score]
        (_draw_sizes if ablation == SIZES else _draw_one_size)(axis, networks, own, colors)
        axis.set_title(ablation, fontsize="medium")
        axis.grid(axis="y", alpha=0.3)
    figure.suptitle(style.wrapped(title, 130), fontsize="medium")
    return figure


def _draw_one_size(axis: Any, networks: Sequence[SelectedNetwork], samples: Sequence[Sample], colors: Any) -> None:
    boxes = [[sample.score for sample in samples if sample.network == network] for network in networks]
    _color(axis.boxplot(boxes, widths=0.6, patch_artist=True), colors)
    labels = [f"{network.percentile}-{network.percentile + 5}\n{network.accuracy:.1f} %" for network in networks]
    axis.set_xticks(range(1, len(networks) + 1), labels, fontsize="x-small")
    axis.set(xlabel="percentile and accuracy of the network", ylabel="score (natural log)")


def _draw_sizes(axis: Any, networks: Sequence[SelectedNetwork], samples: Sequence[Sample], colors: Any) -> None:
    from naswot_lightning.analysis.measurements import relative_scores

    values = relative_scores(samples)
    sizes = sorted({sample.batch_size for sample in samples})
    width = _GROUP / len(networks)
    for place, size in enumerate(sizes):
        pairs = [(value, each) for value, each in zip(values, samples, strict=True) if each.batch_size == size]
        boxes = [[value for value, sample in pairs if sample.network == network] for network in networks]
        places = [place + (number - (len(networks) - 1) / 2) * width for number in range(len(networks))]
        _color(axis.boxplot(boxes, positions=places, widths=0.8 * width, patch_artist=True), colors)
    axis.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axis.set(xlabel="images (the ten networks from left to right)", ylabel="score / lowest score of this size")


def _color(drawn: Any, colors: Any) -> None:
    for box, color in zip(drawn["boxes"], colors, strict=True):
        box.set(facecolor=[_LIGHT + (1 - _LIGHT) * part for part in color[:3]], edgecolor="black", linewidth=0.7)
    for median in drawn["medians"]:
        median.set(color="black", linewidth=1.6)
    for flier in drawn["fliers"]:
        flier.set(markersize=3)
