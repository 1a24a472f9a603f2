"""The score during training: the first two epochs left, all epochs right (the paper's Figure 6).

A network with several seeds is the mean over them, in a band of one sample standard deviation. A second score, by the
running statistics of BatchNorm, is a dotted line of the same colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from naswot_lightning.analysis.results import Group, Network
from naswot_lightning.analysis.trajectory import Points, Trajectory, seed_band
from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run

_ENDS = (2.0, float("inf"))  # epochs, of the panels
_MARKED = 12  # points of a line that carry its marker


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw a line a network, and a grey dashed one for each of its trainings that failed."""
    if not run.groups:
        return None
    group = run.groups[0]
    networks = group.by_rank
    shown = [each for each in networks if any(run.trajectories[result.pick].points for result in each.results)]
    figure, axes = style.panels(group.title(len(shown)) + _explained(run, group))
    looks = list(zip(networks, style.colors(networks), style.markers(networks), strict=True))
    for axis, end, name in zip(axes, _ENDS, ("first two epochs", "all epochs"), strict=True):
        for network, color, marker in looks:
            _draw_network(axis, network, run.trajectories, end, {"color": color, "marker": marker})
        axis.set(xlabel="epochs", ylabel=r"score $s = \log|K_H|$ (natural log)", title=name)
        axis.grid(alpha=0.3)
    axes[0].set_xlim(-0.05, 2.05)
    style.explain_colors(figure, axes[1], networks)
    return figure


def _explained(run: Run, group: Group) -> str:
    """Return what the title says of bands, of grey and of dotted lines."""
    several = any(len(network.finished) > 1 for network in group.networks)
    failed = any(result.status != "ok" for result in group.results)
    dotted = any(run.trajectories[result.pick].running for result in group.results)
    parts = (
        (several, ", mean ± standard deviation over seeds"),
        (failed, ", grey: training failed"),
        (dotted, ", dotted: running statistics"),
    )
    return "".join(text for there, text in parts if there)


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
