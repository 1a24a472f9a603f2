"""The score during training: the first two epochs left, all epochs right (the paper's Figure 6).

A second score, by the running statistics of BatchNorm, is a dotted line of the same colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from naswot_lightning.analysis.results import Group, Network
from naswot_lightning.analysis.trajectory import Points, Trajectory
from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw one line a training; the seeds of a network share its colour, one that failed is grey and dashed."""
    if not run.groups:
        return None
    group = run.groups[0]
    networks = group.by_rank
    shown = [each for each in networks if any(run.trajectories[result.pick].points for result in each.results)]
    figure, (early, full) = style.panels(group.title(len(shown)) + _explained(run, group))
    for network, color in zip(networks, style.colors(networks), strict=True):
        _draw_network(early, network, color, run.trajectories, end=2.0)
        _draw_network(full, network, color, run.trajectories)
    for axis, name in ((early, "first two epochs"), (full, "all epochs")):
        axis.set(xlabel="epochs", ylabel=r"score $s = \log|K_H|$ (natural log)", title=name)
        axis.grid(alpha=0.3)
    early.set_xlim(-0.05, 2.05)
    style.explain_colors(figure, full, networks)
    return figure


def _explained(run: Run, group: Group) -> str:
    """Return what the title says of grey and of dotted lines."""
    failed = any(result.status != "ok" for result in group.results)
    dotted = any(run.trajectories[result.pick].running for result in group.results)
    return (", grey: training failed" if failed else "") + (", dotted: running statistics" if dotted else "")


def _draw_network(
    axis: Any, network: Network, color: Any, trajectories: Mapping[str, Trajectory], end: float = float("inf")
) -> None:
    label = style.label(network)
    for result in sorted(network.results, key=lambda each: each.status != "ok"):  # the legend shows the first
        trajectory = trajectories[result.pick]
        line = {"color": color} if result.status == "ok" else {"color": style.FAILED, "linestyle": "--"}
        if points := _until(end, trajectory.points):
            axis.plot(*zip(*points, strict=True), marker="o", markersize=2, linewidth=1, label=label, **line)
            label = "_"
        if running := _until(end, trajectory.running):
            axis.plot(*zip(*running, strict=True), linewidth=1, label="_", **{**line, "linestyle": ":"})


def _until(end: float, points: Points) -> Points:
    return tuple(point for point in points if point[0] <= end)
