"""The score of a search's candidates against their parameters, with the picks marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.columns import PARAMS
from naswot_lightning.report.figures import style
from naswot_lightning.report.ranked import Ranked, ranked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run

_MILLION = 1e6
_MANY = 5000  # points above which they are pixels: a vector file is small, and 300,000 take less than a second


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw a point a candidate that has a score and a size; None where there is none."""
    found = ranked(run)
    known = None if found is None else ~(np.isnan(found.params) | np.isnan(found.values))
    if found is None or known is None or not known.any():
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axis = figure.subplots()
    _draw_points(axis, found, known)
    axis.set_xscale(style.scale(found.params[known]))
    axis.set_yscale(style.scale(found.values[known]))
    axis.set(xlabel=f"{PARAMS.label} (millions)", ylabel=f"score: {style.plain(found.name)}")
    axis.set_title(_heading(found, known), fontsize="medium")
    axis.grid(alpha=0.3)
    axis.legend(loc="best", fontsize="small")
    figure.suptitle(style.wrapped(found.title, 80), fontsize="medium")
    return figure


def _draw_points(axis: Any, found: Ranked, known: np.ndarray) -> None:
    many, size = bool(known.sum() > _MANY), 5.0 if known.sum() <= 300 else 3.0
    params, others, marked = found.params / _MILLION, known & ~found.marked, known & found.marked
    axis.plot(
        params[others], found.values[others], "," if many else "o", color=style.CANDIDATES, markersize=size,
        markeredgewidth=0, alpha=0.6, label="candidates", rasterized=many,
    )  # fmt: skip
    axis.plot(params[marked], found.values[marked], label=style.plain(found.mark), **style.PICKED)


def _heading(found: Ranked, known: np.ndarray) -> str:
    pair: tuple[np.ndarray, np.ndarray] = (found.values[known], found.params[known])
    tau = kendall_tau(*(values.tolist() for values in pair))
    missing = len(known) - int(known.sum())
    unknown = f", {missing:,} more of unknown size" if missing else ""
    return f"Kendall tau of score and parameters {'not defined' if tau is None else f'{tau:.2f}'}{unknown}"
