"""Best so far of several search algorithms: against evaluations left, against simulated seconds right."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.trajectory import Band, Curve, Effort, band_of
from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Told apart without colours; a line an algorithm, in the order in which they are given.
_LINES = ("-", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 1, 1, 1)), (0, (3, 1, 1, 1)))
_MOST_BANDS = 3  # of more the spread is shown at the end alone: so many bands over each other are one grey area
_SHADE = 0.1
_FIRST_BAR, _NEXT_BAR = 1.025, 0.016  # of the axis: where the bars of the spread stand
_LABELS: dict[Effort, str] = {"evaluations": "evaluations (whole trainings)", "seconds": "simulated time (s)"}
_SETTLED = 0.05  # of an axis: what is lower than the means there is cut off, it would hide all else
_BRIGHTEST = 0.7  # of the colour map
_LETTERS = 70  # of the title, over each panel
_NAMES = 2  # of the legend, below each panel


@dataclass(frozen=True)
class _Look:
    """The colour and the pattern of a line."""

    color: Any
    line: Any


def draw(searches: Mapping[str, Sequence[Curve]], label: str, title: str) -> Figure | None:
    """Draw the mean over seeds of each algorithm, and the band from the 10 to the 90 % quantile.

    Of more than three algorithms it is no band, but a bar at the end, in the order of the legend. The panel of seconds
    is left out where they are not known.

    Args:
        searches: curves, one per seed, by the name of the algorithm.
        label: what their values are, with the unit.
        title: what was searched; the numbers of seeds are added.

    Returns:
        The figure, or None where no algorithm has found anything.
    """
    timed = all(curve.is_timed for curves in searches.values() for curve in curves)
    kinds: list[Effort] = ["evaluations", "seconds"] if timed else ["evaluations"]
    bands = {kind: _bands(searches, kind) for kind in kinds}
    if not bands["evaluations"]:
        return None
    at_end = "" if _as_bands(bands["evaluations"]) else "; bars: at the end,"
    shown = f"(mean{at_end or ','} 10 to 90 % of the seeds)"
    figure, axes = _panels(len(kinds), f"{title}, {_seeds(list(bands['evaluations'].values()))} {shown}")
    looks = _looks(list(searches))
    for axis, kind in zip(axes, kinds, strict=True):
        _draw_panel(axis, bands[kind], looks)
        axis.set(xlabel=_LABELS[kind], ylabel=style.wrapped(f"{label}, best so far", _LETTERS // 2))
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=_NAMES * len(kinds), fontsize="small", handlelength=4
    )
    return figure


def _bands(searches: Mapping[str, Sequence[Curve]], kind: Effort) -> dict[str, Band]:
    found = {name: band_of(curves, kind) for name, curves in searches.items()}
    return {name: band for name, band in found.items() if band is not None}


def _seeds(bands: Sequence[Band]) -> str:
    fewest, most = min(band.seeds for band in bands), max(band.seeds for band in bands)
    return f"n = {most} seeds" if fewest == most else f"n = {fewest} to {most} seeds"


def _panels(count: int, title: str) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.75 * count, 5.0), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    lines = textwrap.wrap(style.plain(title), _LETTERS * count)
    figure.suptitle("\n".join(lines), fontsize="medium")
    return figure, list(axes)


def _looks(names: Sequence[str]) -> dict[str, _Look]:
    from matplotlib import colormaps

    shades = [colormaps["viridis"](_BRIGHTEST * place / max(len(names) - 1, 1)) for place in range(len(names))]
    return {name: _Look(shades[place], _LINES[place % len(_LINES)]) for place, name in enumerate(names)}


def _as_bands(bands: Mapping[str, Band]) -> bool:
    return len(bands) <= _MOST_BANDS


def _draw_panel(axis: Any, bands: Mapping[str, Band], looks: Mapping[str, _Look]) -> None:
    end = max(band.effort[-1] for band in bands.values())
    for place, (name, band) in enumerate(bands.items()):
        look = looks[name]
        line = {"linestyle": look.line, "linewidth": 1.8, "label": style.plain(name)}
        axis.plot(band.effort, band.mean, color=look.color, **line)
        if _as_bands(bands):
            axis.fill_between(band.effort, band.low, band.high, color=look.color, alpha=_SHADE, linewidth=0)
        else:
            _draw_bar(axis, band, look, end * (_FIRST_BAR + _NEXT_BAR * place))
            axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= end])
    axis.set_ylim(*_range(list(bands.values()), _as_bands(bands)))
    axis.grid(alpha=0.3)


def _draw_bar(axis: Any, band: Band, look: _Look, at: float) -> None:
    """Draw the spread at the end of a search as a vertical line in its pattern, with its mean."""
    spread = [band.low[-1], band.high[-1]]
    axis.plot([at, at], spread, color=look.color, linestyle=look.line, linewidth=1.4, marker="_", markersize=5)
    axis.plot([at], [band.mean[-1]], color=look.color, marker="d", markersize=4)


def _range(bands: Sequence[Band], as_bands: bool) -> tuple[float, float]:
    """Return the range that shows the lines after their first steps, which may begin far below, and the spread."""
    end = max(band.effort[-1] for band in bands)
    low = [np.interp(max(_SETTLED * end, band.effort[0]), band.effort, band.mean) for band in bands]
    low += [] if as_bands else [band.low[-1] for band in bands]
    high = [band.high.max() if as_bands else max(band.high[-1], band.mean.max()) for band in bands]
    bottom, top = min(low), max(high)
    margin = 0.05 * (top - bottom) or 1.0
    return float(bottom - margin), float(top + margin)
