"""Kendall's tau of every score of a study, a panel for each accuracy."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from naswot_lightning.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.study.judged import Judged, Panel
    from naswot_lightning.study.study import Study

_ACROSS = 3  # panels in a line
_LETTERS = 44  # of a small title, in the width of a panel
_SIZE = "plain size"
_COLORS = {
    "beats": "#2a788e", "cannot be told apart": "#9fb8c4", "loses": "#c46a4a", "too little evidence": "#dddddd",
    _SIZE: "0.35",
}  # fmt: skip
_LEGEND = {
    "beats": "better than size", "cannot be told apart": "not to be told apart from size", "loses": "worse than size",
    "too little evidence": "no interval", _SIZE: _SIZE,
}  # fmt: skip


def draw(study: Study) -> Figure:
    """Draw a bar a score with its interval, and a line where plain size is."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    panels = study.panels
    across, along = min(len(panels), _ACROSS), math.ceil(len(panels) / _ACROSS)
    order = [each.score for each in panels[0].judged]
    height = along * (1.5 + 0.27 * len(order)) + 0.6
    figure = Figure(figsize=(2.6 + 3.6 * across, height), layout="constrained")
    axes = figure.subplots(along, across, squeeze=False, sharey=True).ravel().tolist()
    for axis, panel in zip(axes, panels, strict=False):
        _draw_panel(axis, panel, order)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(_wrapped(f"{study.run}: {study.sampling}; {panels[0].source}", 1 + across), fontsize="medium")
    there = [name for name in _COLORS if any(_kind(each) == name for panel in panels for each in panel.judged)]
    handles = [Patch(color=_COLORS[name], label=_LEGEND[name]) for name in there]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize="small")
    return figure


def _draw_panel(axis: Any, panel: Panel, order: list[str]) -> None:
    for judged in panel.judged:
        if judged.tau.value is not None:
            _draw_bar(axis, judged, order.index(judged.score))
    size = next(each.tau.value for each in panel.judged if each.score == panel.size)
    if size is not None:
        axis.axvline(size, color=_COLORS[_SIZE], linestyle="--", linewidth=1)
    axis.axvline(0.0, color="0.2", linewidth=0.8)
    axis.set_yticks(range(len(order)), [style.plain(name) for name in order], fontsize="small")
    axis.set_ylim(len(order) - 0.4, -0.6)  # the best above
    axis.set_xlabel("Kendall tau with accuracy, 95 % interval")
    axis.set_title(f"{_wrapped(panel.accuracy)}\nn = {panel.n:,}", fontsize="small")
    axis.grid(axis="x", alpha=0.3)


def _draw_bar(axis: Any, judged: Judged, place: int) -> None:
    tau = judged.tau
    axis.barh([place], [tau.value], 0.75, color=_COLORS[_kind(judged)])
    if tau.low is not None and tau.high is not None and tau.value is not None:
        ends = [[tau.value - tau.low], [tau.high - tau.value]]
        axis.errorbar([tau.value], [place], xerr=ends, color="0.1", elinewidth=1, capsize=2)


def _wrapped(text: str, panels: int = 1) -> str:
    """Return a text in lines as wide as so many panels."""
    return textwrap.fill(style.plain(text), _LETTERS * panels)


def _kind(judged: Judged) -> str:
    return _SIZE if judged.is_size else judged.outcome
