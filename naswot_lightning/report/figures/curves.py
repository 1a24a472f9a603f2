"""The score during training: of the networks of a run, and of several runs over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from naswot_lightning.analysis.results import Network
from naswot_lightning.analysis.trajectory import Points, Trajectory, seed_band
from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run

_ENDS = (2.0, float("inf"))  # epochs, of the panels of Figure 6
_MARKED = 12  # points of a line that carry its marker
_SCORE_AXIS = r"score $s = \log|K_H|$ (natural log)"
_LINES, _MARKERS = ("-", "--", "-.", ":"), "os^Dv"  # tell runs apart in grey


def draw_figure6(run: Run, findings: Findings) -> Figure | None:
    """Draw the first two epochs left, all epochs right (the paper's Figure 6): a line per network.

    A network with several seeds is the mean over them, in a band of one sample standard deviation. A second score, by
    the running statistics of BatchNorm, is a dotted line of the same colour; a training that failed is a grey dashed
    one.
    """
    if not run.groups:
        return None
    group = run.groups[0]
    networks = group.by_rank
    shown = [each for each in networks if any(run.trajectories[result.pick].points for result in each.results)]
    explained = (
        (any(len(network.finished) > 1 for network in networks), ", mean ± standard deviation over seeds"),
        (any(result.status != "ok" for result in group.results), ", grey: training failed"),
        (any(run.trajectories[result.pick].running for result in group.results), ", dotted: running statistics"),
    )
    figure, axes = style.panels(group.title(len(shown)) + "".join(text for there, text in explained if there))
    looks = list(zip(networks, style.colors(networks), style.markers(networks), strict=True))
    for axis, end, name in zip(axes, _ENDS, ("first two epochs", "all epochs"), strict=True):
        for network, color, marker in looks:
            _draw_network(axis, network, run.trajectories, end, {"color": color, "marker": marker})
        axis.set(xlabel="epochs", ylabel=_SCORE_AXIS, title=name)
        axis.grid(alpha=0.3)
    axes[0].set_xlim(-0.05, 2.05)
    style.explain_colors(figure, axes[1], networks)
    return figure


def _draw_network(
    axis: Any, network: Network, trajectories: Mapping[str, Trajectory], end: float, look: Mapping[str, Any]
) -> None:
    label = style.label(network)
    of_seeds = [trajectories[result.pick] for result in network.results if result.status == "ok"]
    failed = [trajectories[result.pick] for result in network.results if result.status != "ok"]
    if _draw_band(axis, [_until(end, each.points) for each in of_seeds], {**look, "label": label}):
        label = "_"
    _draw_band(axis, [_until(end, each.running) for each in of_seeds], {**look, "linestyle": ":", "marker": ""})
    for points in (_until(end, each.points) for each in failed):
        if points:  # the legend shows the first
            axis.plot(*zip(*points, strict=True), color=style.FAILED, linestyle="--", linewidth=1, label=label)
            label = "_"


def _draw_band(axis: Any, of_seeds: Sequence[Points], look: Mapping[str, Any]) -> bool:
    """Draw the mean over seeds, and a band where there are several; return whether there was anything to draw."""
    band = seed_band(of_seeds)
    if not band.points:
        return False
    epochs, means = zip(*band.points, strict=True)
    every = max(1, len(epochs) // _MARKED)
    axis.plot(epochs, means, markersize=4, markevery=every, linewidth=1.2, **look)
    if band.seeds > 1:
        low, high = (
            [mean + sign * each for mean, each in zip(means, band.deviations, strict=True)] for sign in (-1, 1)
        )
        axis.fill_between(epochs, low, high, color=look["color"], alpha=0.18, linewidth=0)
    return True


def _until(end: float, points: Points) -> Points:
    return tuple(point for point in points if point[0] <= end)


def draw_runs(trajectories: Mapping[str, Sequence[Points]]) -> Figure | None:
    """Draw the scores of runs on the left, and on the right relative to each network's score at init.

    A colour is a run, a thin line a network, a thick one the mean over networks.

    Args:
        trajectories: of each run by its name, the lines of its networks.
    """
    if not any(trajectories.values()):
        return None
    figure, axes = style.panels(f"Score during training of {len(trajectories)} runs; thick: mean over networks")
    shades = style.color_map()([place / max(len(trajectories) - 1, 1) for place in range(len(trajectories))])
    for place, (name, lines) in enumerate(trajectories.items()):
        look = {"color": tuple(shades[place]), "linestyle": _LINES[place % len(_LINES)]}
        label = f"{style.plain(name)} (n = {len(lines)})"
        _draw_run(axes[0], lines, label, {**look, "marker": _MARKERS[place % len(_MARKERS)]})
        _draw_run(axes[1], [relative(points) for points in lines], label, look)
    axes[0].set(xlabel="epochs", ylabel=_SCORE_AXIS, title="score")
    axes[1].set(xlabel="epochs", ylabel="score / score at init", title="relative to the score at init")
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small", title="run")
    return figure


def _draw_run(axis: Any, lines: Sequence[Points], label: str, look: dict[str, Any]) -> None:
    for points in filter(None, lines):
        axis.plot(*zip(*points, strict=True), linewidth=0.7, alpha=0.35, label="_", **{**look, "marker": ""})
    mean = mean_line([points for points in lines if points])
    if mean:
        every = max(1, len(mean) // _MARKED)
        axis.plot(*zip(*mean, strict=True), linewidth=2.2, markersize=4, markevery=every, label=label, **look)


def mean_line(lines: Sequence[Points]) -> Points:
    """Return the mean over lines where all of them have a point: of longer trainings, only what all have.

    >>> mean_line([((0.0, 1.0), (1.0, 3.0)), ((0.0, 2.0), (1.0, 4.0), (2.0, 5.0))])
    ((0.0, 1.5), (1.0, 3.5))
    """
    values = [dict(points) for points in lines]
    shared = sorted(set.intersection(*map(set, values))) if values else []
    return tuple((epoch, fmean(each[epoch] for each in values)) for epoch in shared)


def relative(points: Points) -> Points:
    """Return a trajectory as shares of its first score, the one at init; none where that is not positive.

    >>> relative(((0.0, 200.0), (1.0, 220.0)))
    ((0.0, 1.0), (1.0, 1.1))
    """
    if not points or points[0][0] != 0 or points[0][1] <= 0:
        return ()
    return tuple((epoch, score / points[0][1]) for epoch, score in points)
