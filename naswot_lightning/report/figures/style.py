"""The paper's figures, from the files of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from naswot_lightning.results import Network
from naswot_lightning.trajectory import Trajectory

_LEGEND_NETWORKS = 10  # of more, a legend hides the curves and its colours cannot be told apart
_FAILED = "0.6"  # grey
_COLORS = "viridis"
_BRIGHTEST = 0.9  # of the colour map; what is brighter cannot be seen on white


def draw_figure6(networks: Sequence[Network], trajectories: Mapping[str, Trajectory], title: str, path: Path) -> None:
    """Draw the score during training: the first two epochs left, all epochs right (Figure 6).

    One line a training; the seeds of a network share its colour. A training that failed is grey and dashed.

    Args:
        networks: with any status.
        trajectories: by the name of the pick; a pick without points is left out.
        title: what was trained on what.
        path: a PNG file.
    """
    figure, (early, full) = _panels(title)
    for network, color in zip(networks, _colors(networks), strict=True):
        _draw_network(early, network, color, trajectories, end=2.0)
        _draw_network(full, network, color, trajectories)
    for axis, name in ((early, "first two epochs"), (full, "all epochs")):
        axis.set(xlabel="epochs", ylabel=r"score $s = \log|K_H|$ (natural log)", title=name)
        axis.grid(alpha=0.3)
    early.set_xlim(-0.05, 2.05)
    _explain_colors(figure, full, networks)
    _save(figure, path)


def _draw_network(
    axis: Any, network: Network, color: Any, trajectories: Mapping[str, Trajectory], end: float = float("inf")
) -> None:
    label = _label(network)
    for row in sorted(network.results, key=lambda row: row["status"] != "ok"):  # the legend shows the first
        points = [point for point in trajectories[row["pick"]].points if point[0] <= end]
        style = {"color": color} if row["status"] == "ok" else {"color": _FAILED, "linestyle": "--"}
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", markersize=2, linewidth=1, label=label, **style)
            label = "_"


def draw_score_vs_accuracy(
    networks: Sequence[Network], panels: Mapping[str, tuple[str, str]], title: str, path: Path
) -> None:
    """Draw scores against test accuracy, a panel each, a point a network in the colours of Figure 6.

    A point is the mean over seeds; where there are several, bars are their sample standard deviations.

    Args:
        networks: with any status; those without a score or a test accuracy are left out.
        panels: axis label and title of each score, by its name: "score_init", "score_final".
        title: what was trained on what.
        path: a PNG file.
    """
    figure, axes = _panels(title)
    for axis, (name, (label, heading)) in zip(axes, panels.items(), strict=True):
        for network, color in zip(networks, _colors(networks), strict=True):
            _draw_point(axis, network, name, color)
        axis.set(xlabel=label, ylabel=f"test accuracy [%]{_test_set(networks)}")
        axis.locator_params(axis="x", nbins=6)  # scores have many digits: more labels touch each other
        axis.set_title(heading, fontsize="medium")
        axis.grid(alpha=0.3)
    _explain_colors(figure, axes[-1], networks)
    _save(figure, path)


def _draw_point(axis: Any, network: Network, name: str, color: Any) -> None:
    score, accuracy = network.mean(name), network.mean("test_acc")
    if score is None or accuracy is None:
        return
    across, along = network.deviation(name), network.deviation("test_acc")
    axis.errorbar(
        [score],
        [100 * accuracy],
        xerr=across and [across],
        yerr=along and [100 * along],
        fmt="o",
        color=color,
        markersize=6,
        markeredgecolor="0.3",
        markeredgewidth=0.4,
        elinewidth=1,
        capsize=2,
        label=_label(network),
    )


def _test_set(networks: Sequence[Network]) -> str:
    name = networks[0].results[0].get("test_set") if networks else None
    return "" if name is None else f", {name}"


def _label(network: Network) -> str:
    accuracy, deviation = network.mean("test_acc"), network.deviation("test_acc")
    if accuracy is None:
        return f"{network.name}: {network.results[0]['status']}"
    return f"{network.name}: {100 * accuracy:.2f}{'' if deviation is None else f' ± {100 * deviation:.2f}'} %"


def _colors(networks: Sequence[Network]) -> list[Any]:
    """Return a colour a network, the same in all figures: by accuracy, evenly apart where a legend names them."""
    accuracies = [network.mean("test_acc") for network in networks]
    order = [accuracy for accuracy in accuracies if accuracy is not None]
    places = _even_places(order) if len(networks) <= _LEGEND_NETWORKS else [_scale(order)(value) for value in order]
    colors = iter(tuple(color) for color in _color_map()(places))
    return [_FAILED if accuracy is None else next(colors) for accuracy in accuracies]


def _even_places(values: Sequence[float]) -> list[float]:
    """Return i / (n - 1) for the i-th lowest value; equal values are different networks and get different places."""
    order = sorted(range(len(values)), key=lambda position: values[position])
    return [order.index(position) / max(len(values) - 1, 1) for position in range(len(values))]


def _color_map() -> Any:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps[_COLORS]([step / 255 * _BRIGHTEST for step in range(256)]))


def _scale(accuracies: Sequence[float]) -> Any:
    from matplotlib.colors import Normalize

    return Normalize(min(accuracies, default=0.0), max(accuracies, default=1.0))


def _explain_colors(figure: Any, axis: Any, networks: Sequence[Network]) -> None:
    """Add a legend, the most accurate first, or a colour bar where there are many networks."""
    accuracies = [100 * value for network in networks if (value := network.mean("test_acc")) is not None]
    if len(networks) <= _LEGEND_NETWORKS:
        _add_legend(figure, axis, networks)
    elif accuracies:
        from matplotlib.cm import ScalarMappable

        figure.colorbar(ScalarMappable(_scale(accuracies), _color_map()), ax=axis, label="test accuracy [%]")


def _add_legend(figure: Any, axis: Any, networks: Sequence[Network]) -> None:
    handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    best_first = sorted(networks, key=lambda network: -(network.mean("test_acc") or 0.0))
    labels = [label for network in best_first if (label := _label(network)) in handles]
    if labels:
        figure.legend(
            [handles[label] for label in labels],
            labels,
            loc="outside right center",
            fontsize="x-small",
            title="network: test accuracy",
            title_fontsize="x-small",
        )


def _panels(title: str) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11.5, 4.6), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(beside, dpi=150, format="png")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
        plt.close(figure)
