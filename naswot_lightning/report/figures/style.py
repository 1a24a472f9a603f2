"""What the figures of a run share: two panels, a colour a network, and what explains the colours."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from naswot_lightning.analysis.results import Network
from naswot_lightning.columns import TEST_ACC
from naswot_lightning.spaces.errors import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Panels in a line.
ACROSS = 3
# A grey; what is light also in grey; and what is dark, and of another form.
FAILED = "0.6"
CANDIDATES = "#7a9cc6"
PICKED: dict[str, Any] = {
    "color": "#b2182b", "marker": "D", "markersize": 7, "markeredgecolor": "black", "markeredgewidth": 0.8,
    "linestyle": "none",
}  # fmt: skip
# An axis is logarithmic from where the largest value is so many times the smallest.
_WIDE = 30
# Characters of a text.
_LONGEST = 200
# Of more networks a legend hides the curves, and its colours cannot be told apart.
_LEGEND_NETWORKS = 10
_COLORS = "viridis"
_MARKERS = "os^DvP<X>*"
# Of the colour map: what is brighter cannot be seen on white.
_BRIGHTEST = 0.9


def plain(text: str) -> str:
    r"""Return a text of a file as a figure shows it: never as a formula, and not without end.

    >>> print(plain("$x"))
    \$x
    """
    return one_line(text)[:_LONGEST].replace("$", r"\$")


def wrapped(text: str, letters: int) -> str:
    """Return a text of a file in lines of so many letters."""
    return textwrap.fill(plain(text), letters)


def scale(values: np.ndarray) -> Literal["linear", "log"]:
    """Return the scale of an axis: logarithmic where positive values are far apart.

    >>> import numpy as np
    >>> scale(np.array([1.0, 20.0])), scale(np.array([1.0, 40.0])), scale(np.array([-1.0, 40.0]))
    ('linear', 'log', 'linear')
    """
    return "log" if values.min() > 0 and values.max() > _WIDE * values.min() else "linear"


def label(network: Network) -> str:
    """Return the name of a network with its accuracy, as a legend has it."""
    accuracy, deviation = network.mean(TEST_ACC.name), network.deviation(TEST_ACC.name)
    if accuracy is None:
        return f"{plain(network.name)}: {network.results[0].status}"
    return f"{plain(network.name)}: {100 * accuracy:.2f}{'' if deviation is None else f' ± {100 * deviation:.2f}'} %"


def looks(networks: Sequence[Network]) -> list[dict[str, Any]]:
    """Return colour, marker and label of each network, the same in all figures.

    Colours are by accuracy. Where a legend names the networks they are evenly apart, and each has its own marker.
    """
    accuracies = np.array([network.mean(TEST_ACC.name) for network in networks], float)
    known, few = accuracies[~np.isnan(accuracies)], len(networks) <= _LEGEND_NETWORKS
    # Equal accuracies are different networks and get different shares.
    shares = known.argsort(kind="stable").argsort() / max(len(known) - 1, 1) if few else _scale(known)(known)
    shades = iter(color_map()(shares))
    found = []
    for place, network in enumerate(networks):
        color = FAILED if np.isnan(accuracies[place]) else tuple(next(shades))
        found.append({"color": color, "marker": _MARKERS[place if few else 0], "label": label(network)})
    return found


def color_map() -> Any:
    """Return the colours of networks, without those that are too bright on white."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps[_COLORS]([step / 255 * _BRIGHTEST for step in range(256)]))


def _scale(accuracies: Sequence[float]) -> Any:
    from matplotlib.colors import Normalize

    return Normalize(min(accuracies, default=0.0), max(accuracies, default=1.0))


def explain_colors(figure: Any, axis: Any, networks: Sequence[Network]) -> None:
    """Add a legend, the most accurate first, or a colour bar where there are many networks."""
    if len(networks) <= _LEGEND_NETWORKS:
        handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        best_first = sorted(networks, key=lambda network: -(network.mean(TEST_ACC.name) or 0.0))
        labels = [text for network in best_first if (text := label(network)) in handles]
        if labels:
            figure.legend(
                [handles[text] for text in labels], labels, loc="outside right center", fontsize="x-small",
                title="network: test accuracy", title_fontsize="x-small",
            )  # fmt: skip
        return
    from matplotlib.cm import ScalarMappable

    accuracies = [100 * value for network in networks if (value := network.mean(TEST_ACC.name)) is not None]
    if accuracies:
        figure.colorbar(ScalarMappable(_scale(accuracies), color_map()), ax=axis, label=TEST_ACC.axis)


def panels(title: str, count: int = 2) -> tuple[Figure, Sequence[Any]]:
    """Return a figure with a title over panels side by side, two by default."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8) if count == 1 else (11.5, 4.6), layout="constrained")
    figure.suptitle(wrapped(title, max(80, 60 * count)), fontsize="medium")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def grid(count: int, panel: tuple[float, float] = (4.4, 4.0), sharey: bool = False) -> tuple[Figure, list[Any]]:
    """Return a figure with so many panels, each of a width and height, in lines of three; four are two by two."""
    from matplotlib.figure import Figure

    across = min(count, ACROSS) if count != 4 else 2
    along = math.ceil(count / across)
    figure = Figure(figsize=(1.6 + panel[0] * across, 0.6 + panel[1] * along), layout="constrained")
    axes = figure.subplots(along, across, squeeze=False, sharey=sharey).ravel().tolist()
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def legend(figure: Any, axis: Any, **where: Any) -> None:
    """Add the legend of an axis to its figure, each label once."""
    handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(list(handles.values()), list(handles), fontsize="small", **where)
