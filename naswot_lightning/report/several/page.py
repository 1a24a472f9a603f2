"""``comparison.html``: the comparison of runs as one file."""

from __future__ import annotations

from typing import Any

from naswot_lightning.report.html.document import render
from naswot_lightning.report.several.comparison import RunsComparison, relative

_TITLE = "Runs compared · naswot-lightning"


def render_comparison(found: RunsComparison) -> str:
    """Return the page; the same comparison gives the same text."""
    return render("runs.html", _TITLE, ("trainings", "runs"), "startRuns", _data(found), page=found)


def _data(found: RunsComparison) -> dict[str, Any]:
    """Return what the page's scripts read: of each run, its lines as (epochs, scores), and relative to init."""
    return {
        "runs": [
            {
                "name": name,
                "lines": [_axes(points) for points in lines],
                "relative": [_axes(each) for points in lines if (each := relative(points))],
            }
            for name, lines in zip(found.names, found.trajectories, strict=True)
        ]
    }


def _axes(points: Any) -> list[list[float]]:
    return [[x for x, _ in points], [y for _, y in points]]
