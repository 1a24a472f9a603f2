"""Curves: the score during training of a run and of several, and the best so far of searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.trajectory import Band, Curve, Effort, Points, band_of, seed_band
from naswot_lightning.report.figures import style
from naswot_lightning.report.findings import Findings
from naswot_lightning.report.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Epochs, of the panels of Figure 6.
_ENDS = (2.0, float("inf"))
# Points of a line that carry its marker.
_MARKED = 12
_SCORE_AXIS = r"score $s = \log|K_H|$ (natural log)"
# Tell runs apart in grey.
_LINES, _MARKERS = ("-", "--", "-.", ":"), "os^Dv"
# Told apart without colours; a line an algorithm, in the order in which they are given.
_PATTERNS = ("-", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 1, 1, 1)), (0, (3, 1, 1, 1)))
# Of more searches the spread is shown at the end alone: bands over each other are one grey area.
_MOST_BANDS = 3
_SHADE = 0.1
# Of the axis: where the bars of the spread stand.
_FIRST_BAR, _NEXT_BAR = 1.025, 0.016
_EFFORTS: dict[Effort, str] = {"evaluations": "evaluations (whole trainings)", "seconds": "simulated time (s)"}
# Of an axis: what is lower than the means there is cut off, it would hide all else.
_SETTLED = 0.05
# Of the colour map.
_BRIGHTEST = 0.7
# Of the title over each panel, and names of the legend below it.
_LETTERS, _NAMES = 70, 2


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
    looks = style.looks(networks)
    for axis, end, name in zip(axes, _ENDS, ("first two epochs", "all epochs"), strict=True):
        for network, look in zip(networks, looks, strict=True):
            label = look["label"]
            of_seeds = [run.trajectories[result.pick] for result in network.results if result.status == "ok"]
            failed = [run.trajectories[result.pick] for result in network.results if result.status != "ok"]
            # The legend shows the first line of a network alone.
            if _draw_band(axis, [_until(end, each.points) for each in of_seeds], look):
                label = "_"
            running = [_until(end, each.running) for each in of_seeds]
            _draw_band(axis, running, {**look, "linestyle": ":", "marker": "", "label": "_"})
            for points in filter(None, (_until(end, each.points) for each in failed)):
                axis.plot(*zip(*points, strict=True), color=style.FAILED, linestyle="--", linewidth=1, label=label)
                label = "_"
        axis.set(xlabel="epochs", ylabel=_SCORE_AXIS, title=name)
        axis.locator_params(axis="x", integer=True)
        axis.grid(alpha=0.3)
    axes[0].set_xlim(-0.05, 2.05)
    style.explain_colors(figure, axes[1], networks)
    return figure


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
        axis.locator_params(axis="x", integer=True)
        axis.grid(alpha=0.3)
    style.legend(figure, axes[0], loc="outside right center", title="run")
    return figure


def _draw_run(axis: Any, lines: Sequence[Points], label: str, look: dict[str, Any]) -> None:
    for points in filter(None, lines):
        axis.plot(*zip(*points, strict=True), linewidth=0.7, alpha=0.35, label="_", **{**look, "marker": ""})
    # The mean is where all of them have a point: of longer trainings, only what all have.
    if mean := seed_band(lines).points:
        every = max(1, len(mean) // _MARKED)
        axis.plot(*zip(*mean, strict=True), linewidth=2.2, markersize=4, markevery=every, label=label, **look)


def relative(points: Points) -> Points:
    """Return a trajectory as shares of its first score, the one at init; none where that is not positive.

    >>> relative(((0.0, 200.0), (1.0, 220.0)))
    ((0.0, 1.0), (1.0, 1.1))
    """
    if not points or points[0][0] != 0 or points[0][1] <= 0:
        return ()
    return tuple((epoch, score / points[0][1]) for epoch, score in points)


def draw_best_so_far(searches: Mapping[str, Sequence[Curve]], label: str, title: str) -> Figure | None:
    """Draw the mean over seeds of each algorithm, and the band from the 10 to the 90 % quantile; None without any.

    Of more than three algorithms it is no band, but a bar at the end, in the order of the legend. The panel of seconds
    is left out where they are not known. Searches are curves, one per seed, by the name of the algorithm; the label
    says what their values are, with the unit.
    """
    timed = all(curve.is_timed for curves in searches.values() for curve in curves)
    kinds: list[Effort] = ["evaluations", "seconds"] if timed else ["evaluations"]
    bands: dict[Effort, dict[str, Band]] = {}
    for kind in kinds:
        found = {name: band_of(curves, kind) for name, curves in searches.items()}
        bands[kind] = {name: band for name, band in found.items() if band is not None}
    seeds = [band.seeds for band in bands["evaluations"].values()]
    if not seeds:
        return None
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    counted = f"n = {max(seeds)}" if min(seeds) == max(seeds) else f"n = {min(seeds)} to {max(seeds)}"
    at_end = "," if len(seeds) <= _MOST_BANDS else "; bars: at the end,"
    figure = Figure(figsize=(5.75 * len(kinds), 5.0), layout="constrained")
    title = f"{title}, {counted} seeds (mean{at_end} 10 to 90 % of the seeds)"
    figure.suptitle(style.wrapped(title, _LETTERS * len(kinds)), fontsize="medium")
    looks = {}
    for place, name in enumerate(searches):
        color = colormaps["viridis"](_BRIGHTEST * place / max(len(searches) - 1, 1))
        looks[name] = {"color": color, "linestyle": _PATTERNS[place % len(_PATTERNS)]}
    axes = figure.subplots(1, len(kinds), squeeze=False)[0]
    for axis, kind in zip(axes, kinds, strict=True):
        axis.locator_params(axis="x", integer=kind == "evaluations")
        _draw_bands(axis, bands[kind], looks)
        axis.set(xlabel=_EFFORTS[kind], ylabel=style.wrapped(f"{label}, best so far", _LETTERS // 2))
    style.legend(figure, axes[0], loc="outside lower center", ncols=_NAMES * len(kinds), handlelength=4)
    return figure


def _draw_bands(axis: Any, bands: Mapping[str, Band], looks: Mapping[str, Mapping[str, Any]]) -> None:
    as_bands = len(bands) <= _MOST_BANDS
    end = max(band.effort[-1] for band in bands.values())
    for place, (name, band) in enumerate(bands.items()):
        look = looks[name]
        axis.plot(band.effort, band.mean, linewidth=1.8, label=style.plain(name), **look)
        if as_bands:
            axis.fill_between(band.effort, band.low, band.high, color=look["color"], alpha=_SHADE, linewidth=0)
        else:
            # The spread at the end as a vertical line in its pattern, with its mean.
            at, spread = end * (_FIRST_BAR + _NEXT_BAR * place), [band.low[-1], band.high[-1]]
            axis.plot([at, at], spread, linewidth=1.4, marker="_", markersize=5, **look)
            axis.plot([at], [band.mean[-1]], color=look["color"], marker="d", markersize=4)
            axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= end])
    # The range of the lines after their first steps, which may begin far below, and of the spread.
    low = [np.interp(max(_SETTLED * end, band.effort[0]), band.effort, band.mean) for band in bands.values()]
    low += [] if as_bands else [band.low[-1] for band in bands.values()]
    high = [band.high.max() if as_bands else max(band.high[-1], band.mean.max()) for band in bands.values()]
    margin = 0.05 * (max(high) - min(low)) or 1.0
    axis.set_ylim(min(low) - margin, max(high) + margin)
    axis.grid(alpha=0.3)
