"""The figure of a study: each score against each accuracy, and where model size is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from naswot_lightning.report.figures import style
from naswot_lightning.report.figures.bars import ends_of
from naswot_lightning.study.assessment import SIZE, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of a small title, in the width of a panel.
_LETTERS = 44
# Of a score against model size: colour, what the legend says.
_VERDICTS = {
    "beats": ("#2a788e", "better than size"), "cannot be told apart": ("#9fb8c4", "not to be told apart from size"),
    "loses": ("#c46a4a", "worse than size"), "too little evidence": ("#dddddd", "no interval"), SIZE: ("0.35", SIZE),
}  # fmt: skip


def draw_study(found: Study) -> Figure:
    """Draw a panel per accuracy with a bar per score, and a line where model size is."""
    from matplotlib.patches import Patch

    panels = found.panels
    order = [each.score for each in panels[0].assessments]
    figure, axes = style.grid(len(panels), (4.0, 1.5 + 0.27 * len(order)), sharey=True)
    for axis, panel in zip(axes, panels, strict=True):
        for each in panel.assessments:
            tau, place = each.tau, order.index(each.score)
            if tau.value is None:
                continue
            axis.barh([place], [tau.value], 0.75, color=_VERDICTS[each.verdict][0])
            if (ends := ends_of(tau)) is not None:
                axis.errorbar([tau.value], [place], xerr=ends, color="0.1", elinewidth=1, capsize=2)
            if each.score == panel.size:
                axis.axvline(tau.value, color=_VERDICTS[SIZE][0], linestyle="--", linewidth=1)
        axis.axvline(0.0, color="0.2", linewidth=0.8)
        axis.set_yticks(range(len(order)), [style.plain(name) for name in order], fontsize="small")
        # The best above.
        axis.set_ylim(len(order) - 0.4, -0.6)
        axis.set_xlabel("Kendall tau, 95 % interval")
        axis.set_title(f"{style.wrapped(panel.accuracy, _LETTERS)}\nn = {panel.n:,}", fontsize="small")
        axis.grid(axis="x", alpha=0.3)
    title = f"{found.run}: {found.sampling}; {panels[0].source}"
    figure.suptitle(style.wrapped(title, _LETTERS * (1 + min(len(panels), style.ACROSS))), fontsize="medium")
    there = {each.verdict for panel in panels for each in panel.assessments}
    handles = [Patch(color=color, label=label) for name, (color, label) in _VERDICTS.items() if name in there]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize="small")
    return figure
