"""Scores against sizes and accuracies, a point per network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from naswot_lightning.analysis.evidence import is_shown, tau_in_words
from naswot_lightning.analysis.pareto import non_dominated_ranks, objective_costs, score_and_cost
from naswot_lightning.analysis.results import SELECTIONS
from naswot_lightning.analysis.statistics import Estimate, estimate, kendall_tau, resampled_tau
from naswot_lightning.columns import COSTS, PARAMS, PARETO_RANK, SCORE_FINAL, SCORE_INIT, SIZES, TEST_ACC
from naswot_lightning.report.figures import style
from naswot_lightning.report.figures.bars import ScoreTau
from naswot_lightning.report.findings import Findings, networks_with_accuracy, scored_candidates
from naswot_lightning.report.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MILLION = 1e6
# Marked points with their ranks beside them; and pixels that these need to the side and upwards.
_NAMED, _ROOM = 12, np.array([30.0, 15.0])
# More points are pixels, which keeps a vector file small: 300,000 take less than a second.
_MANY = 5000


def draw_score_vs_params(run: Run, findings: Findings) -> Figure | None:
    """Draw a point per candidate that has a score and a size, with the picks marked; None where there is none."""
    found = scored_candidates(run)
    known = np.zeros(0, bool) if found is None else ~(np.isnan(found.params) | np.isnan(found.values))
    if found is None or not known.any():
        return None
    params, values = found.params / _MILLION, found.values
    figure, (axis,) = style.panels(found.title, 1)
    many, others = bool(known.sum() > _MANY), known & ~found.marked
    axis.plot(
        params[others], values[others], "," if many else "o", color=style.CANDIDATES, label="candidates",
        markersize=5.0 if known.sum() <= 300 else 3.0, markeredgewidth=0, alpha=0.6, rasterized=many,
    )  # fmt: skip
    marked = known & found.marked
    axis.plot(params[marked], values[marked], label=style.plain(found.mark), **style.PICKED)
    axis.set_xscale(style.scale(params[known]))
    axis.set_yscale(style.scale(values[known]))
    axis.set(xlabel=f"{PARAMS.label} (millions)", ylabel=f"score: {style.plain(found.name)}")
    tau = kendall_tau(values[known], found.params[known])
    missing = len(known) - int(known.sum())
    heading = f"Kendall tau of score and parameters {'not defined' if tau is None else f'{tau:.2f}'}"
    axis.set_title(heading + (f", {missing:,} more of unknown size" if missing else ""), fontsize="medium")
    axis.grid(alpha=0.3)
    axis.legend(loc="best", fontsize="small")
    return figure


def draw_pareto(run: Run, findings: Findings) -> Figure | None:
    """Draw the front of the first two objectives: score against cost, and accuracy against cost where it is known.

    Marked candidates, and trained networks, that another one dominates are hollow. Ranks stand beside those that are
    marked, or else beside the front.
    """
    found, pair = scored_candidates(run), score_and_cost(run.objectives)
    if found is None or pair is None:
        return None
    rows = run.ranking[run.ranking["status"] == "ok"]
    values = -objective_costs(rows, pair)
    costs, networks, labels = -values[:, 1], networks_with_accuracy(run), COSTS | SIZES
    known = {} if networks is None else {**networks.sizes, **networks.columns}
    accuracies = None if networks is None or pair[1].name not in known else networks.accuracies
    figure, axes = style.panels(found.title, 1 if accuracies is None else 2)
    label = labels[pair[1].name].axis if pair[1].name in labels else pair[1].name
    ranks = rows["rank"].to_numpy()
    _draw_front(axes[0], costs, values[:, 0], ranks, found.marked, found.mark)
    axes[0].set(xlabel=label, ylabel=f"score: {style.plain(pair[0].name)}")
    if networks is not None and accuracies is not None:
        # Of a table all accuracies are known: those of the front by score stand out.
        of_table = run.benchmark is not None
        chosen = known[PARETO_RANK] == 1 if of_table else np.ones(len(accuracies), bool)
        mark = "front by score" if of_table else "trained network"
        ranks = rows.groupby("canonical")["rank"].min().reindex(networks.architectures).to_numpy(float)
        _draw_front(axes[1], known[pair[1].name], accuracies, ranks, chosen, mark)
        axes[1].set(xlabel=label, ylabel="accuracy (%)")
        axes[1].set_title(style.wrapped(networks.source, 60), fontsize="small")
    return figure


def _draw_front(
    axis: Any, costs: np.ndarray, values: np.ndarray, ranks: np.ndarray, marked: np.ndarray, mark: str
) -> None:
    there = ~(np.isnan(costs) | np.isnan(values))
    costs, values, ranks, marked = costs[there], values[there], ranks[there], marked[there]
    first = non_dominated_ranks(np.stack([costs, -values], axis=1)) == 1
    axis.plot(costs[~marked], values[~marked], "o", color=style.CANDIDATES, markersize=3, markeredgewidth=0, alpha=0.6,
              rasterized=len(costs) > _MANY)  # fmt: skip
    order = np.lexsort((values, costs))
    order = order[first[order]]
    axis.step(costs[order], values[order], where="post", color="0.3", linewidth=1, label="front (beside it: ranks)")
    small = {**style.PICKED, "markersize": 7 if marked.sum() < 60 else 3}
    for chosen, name, face in ((first, mark, style.PICKED["color"]), (~first, f"{mark}, dominated", "none")):
        shown = marked & chosen
        if not shown.any():
            continue
        axis.plot(costs[shown], values[shown], markerfacecolor=face, label=style.plain(name), **small)
    axis.set_xscale(style.scale(costs))
    axis.grid(alpha=0.3)
    few = 1 < np.unique(costs[marked]).size <= _NAMED
    _name_points(axis, costs, values, ranks, (marked if few else first) & ~np.isnan(ranks))
    axis.legend(loc="best", fontsize="small")


def _name_points(axis: Any, costs: np.ndarray, values: np.ndarray, ranks: np.ndarray, which: np.ndarray) -> None:
    """Write ranks beside points, the best first, where there is room."""
    axis.margins(0.07)
    # Until then an axis has no limits.
    axis.autoscale_view()
    places = axis.transData.transform(np.stack([costs, values], axis=1))
    taken: list[np.ndarray] = []
    for number in np.flatnonzero(which)[np.argsort(ranks[which], kind="stable")]:
        if all((np.abs(places[number] - each) > _ROOM).any() for each in taken):
            taken.append(places[number])
            axis.annotate(f"{ranks[number]:.0f}", (costs[number], values[number]), (-6, 4), ha="right",
                          textcoords="offset points", fontsize="small")  # fmt: skip


@dataclass(frozen=True)
class ScorePanel:
    """A score and an accuracy of each of n networks."""

    of: ScoreTau
    points: pd.DataFrame
    """a row per network: architecture, score, params, accuracy (percent)."""


def draw_score_panels(panels: Sequence[ScorePanel]) -> Figure:
    """Draw a panel for each data set of each table (the paper's Figures 3, 9 and 10)."""
    figure, axes = style.grid(len(panels))
    for axis, panel in zip(axes, panels, strict=True):
        of = panel.of
        published = "none published" if of.published is None else f"published {of.published:.3f}"
        heading = [f"{of.space}: {of.accuracy}", f"Kendall tau {of.tau:.3f}, n = {of.tau.n}; {published}"]
        _draw_points(axis, *(panel.points[name].to_numpy() for name in ("score", "accuracy", "params")))
        axis.set(xlabel=f"score on {style.plain(of.images)}")
        axis.set_title("\n".join(map(style.plain, heading)), fontsize="small")
    return figure


def draw_figure3(run: Run, findings: Findings) -> Figure | None:
    """Draw the scores of a run against known accuracies, a panel per score (the paper's Figure 3)."""
    found = networks_with_accuracy(run)
    if found is None:
        return None
    scores = {name: values for name, values in found.scores.items() if not np.isnan(values).all()}
    if not scores:
        return None
    figure, axes = style.grid(len(scores))
    for axis, (name, values) in zip(axes, scores.items(), strict=True):
        there = ~np.isnan(values)
        _draw_points(axis, values[there], found.accuracies[there], found.sizes[PARAMS.name][there])
        tau = estimate(resampled_tau, values[there], found.accuracies[there])
        missing = len(there) - int(there.sum())
        axis.set_title(_heading(tau) + (f"; {missing:,} without a score" if missing else ""), fontsize="small")
        axis.set(xlabel=f"score: {style.plain(name)}")
    title = f"{found.space}, scored on {found.images}, n = {len(found.accuracies):,} networks; {found.source}"
    figure.suptitle(style.wrapped(title, 60 * min(len(scores), style.ACROSS)), fontsize="medium")
    return figure


def _draw_points(axis: Any, scores: np.ndarray, accuracies: np.ndarray, params: np.ndarray) -> None:
    """Draw points whose shades are their parameters, where all are known."""
    known, log = not np.isnan(params).any(), style.scale(scores) == "log"
    points = axis.scatter(
        scores, accuracies, s=12 if len(scores) > 100 else 24, cmap=style.color_map(), linewidths=0, alpha=0.8,
        c=params / _MILLION if known else "0.3",
    )  # fmt: skip
    if known:
        axis.figure.colorbar(points, ax=axis, label="parameters (millions)")
    if log:
        axis.set_xscale("log")
    else:
        axis.locator_params(axis="x", nbins=5)
    axis.set(ylabel="accuracy (%)")
    axis.grid(alpha=0.3)


def draw_score_vs_accuracy(run: Run, findings: Findings) -> Figure | None:
    """Draw the score of trained networks against test accuracy: at init left, after training right.

    Colours are those of Figure 6. A point is the mean over seeds, with their sample standard deviations as bars.
    """
    if not run.groups:
        return None
    group, found = run.groups[0], findings.groups[0]
    several = " (mean ± standard deviation)" if len(group.seeds) > 1 else ""
    figure, axes = style.panels(group.title(len(group.usable)) + several)
    test_set = group.settings.test_set
    for axis, column in zip(axes, (SCORE_INIT, SCORE_FINAL), strict=True):
        for network, look in zip(group.by_rank, style.looks(group.by_rank), strict=True):
            score, mean = network.mean(column.name), network.mean(TEST_ACC.name)
            across, along = network.deviation(column.name), network.deviation(TEST_ACC.name)
            if score is not None and mean is not None:
                axis.errorbar(
                    [score], [100 * mean], xerr=across and [across], yerr=along and [100 * along], linestyle="none",
                    markersize=6, markeredgecolor="0.3", markeredgewidth=0.4, elinewidth=1, capsize=2, **look,
                )  # fmt: skip
        accuracy = TEST_ACC.axis + ("" if test_set is None else f", {style.plain(test_set)}")
        axis.set(xlabel=column.axis, ylabel=accuracy)
        # Scores have many digits: more labels touch each other.
        axis.locator_params(axis="x", nbins=6)
        tau = found.correlations[column.name].kendall_tau
        # Of several selections, each has a tau of its own.
        part = f" ({SELECTIONS[found.selection]})" if found.selection and len(group.samples) > 1 else ""
        axis.set_title(f"{column.label}: {_heading(tau)}{part}", fontsize="medium")
        axis.grid(alpha=0.3)
    style.explain_colors(figure, axes[-1], group.by_rank)
    return figure


def _heading(tau: Estimate) -> str:
    if not is_shown(tau):
        return tau_in_words(tau)
    interval = "" if tau.low is None else " (95 %)"
    return f"Kendall tau {tau}{interval}, n = {tau.n}"
