"""The score against test accuracy: at init left, after training right, a point a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from naswot_lightning.analysis.results import Group, Network
from naswot_lightning.analysis.statistics import Estimate
from naswot_lightning.columns import SCORE_FINAL, SCORE_INIT, TEST_ACC, Column
from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw a point a network, in the colours of Figure 6; networks without a score or a test accuracy are left out.

    A point is the mean over seeds; where there are several, bars are their sample standard deviations.
    """
    if not run.groups:
        return None
    group, found = run.groups[0], findings.groups[0]
    several = " (mean ± standard deviation)" if len(group.seeds) > 1 else ""
    figure, axes = style.panels(group.title(len(group.usable)) + several)
    for axis, column in zip(axes, (SCORE_INIT, SCORE_FINAL), strict=True):
        looks = zip(group.by_rank, style.colors(group.by_rank), style.markers(group.by_rank), strict=True)
        for network, color, marker in looks:
            _draw_point(axis, network, column, color, marker)
        tau = found.correlations[TEST_ACC.name][column.name].kendall_tau
        axis.set(xlabel=column.axis, ylabel=_accuracy_axis(group))
        axis.locator_params(axis="x", nbins=6)  # scores have many digits: more labels touch each other
        axis.set_title(heading(column.label, tau), fontsize="medium")
        axis.grid(alpha=0.3)
    style.explain_colors(figure, axes[-1], group.by_rank)
    return figure


def _draw_point(axis: Any, network: Network, column: Column, color: Any, marker: str) -> None:
    score, accuracy = network.mean(column.name), network.mean(TEST_ACC.name)
    if score is None or accuracy is None:
        return
    across, along = network.deviation(column.name), network.deviation(TEST_ACC.name)
    axis.errorbar(
        [score],
        [100 * accuracy],
        xerr=across and [across],
        yerr=along and [100 * along],
        fmt=marker,
        color=color,
        markersize=6,
        markeredgecolor="0.3",
        markeredgewidth=0.4,
        elinewidth=1,
        capsize=2,
        label=style.label(network),
    )


def _accuracy_axis(group: Group) -> str:
    name = group.settings.test_set
    return TEST_ACC.axis + ("" if name is None else f", {style.plain(name)}")


def heading(label: str, tau: Estimate) -> str:
    """Return what stands over a panel: the correlation with its interval."""
    value = "not defined" if tau.value is None else f"{tau.value:.2f}"
    interval = "" if tau.low is None else f", 95 % {tau.interval}"
    return f"{label}{label and ': '}Kendall tau {value}{interval}, n = {tau.n}"
