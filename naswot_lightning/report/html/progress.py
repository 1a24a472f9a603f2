"""The best so far of a search, in the order in which candidates were evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from naswot_lightning.ranking import RankedRow
from naswot_lightning.report.html.candidates import rounded
from naswot_lightning.report.run import Run

_MOST_DOTS = 2_000  # of single candidates, evenly spaced


@dataclass(frozen=True)
class Progress:
    """What a search had found after how many evaluations.

    Attributes:
        effort: what an evaluation is.
        evaluations: in all; trainings of a part of the epochs count for that part, and scores before a training not.
        steps: (evaluations, best so far) where it rose, and at the end.
        dots: (evaluations, score) of single candidates.
    """

    effort: str
    evaluations: float
    steps: tuple[tuple[float, float], ...]
    dots: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as the page's scripts read it."""
        return {"effort": self.effort, "steps": self.steps, "dots": self.dots}


def progress_of(run: Run) -> Progress | None:
    """Return the best so far by the ranking's order; None where no candidate has a score."""
    ranked = {row.architecture: row for row in run.ranking if row.status == "ok"}
    steps: list[tuple[float, float]] = []
    dots: list[tuple[float, float]] = []
    evaluations, best = 0.0, len(run.ranking) + 1
    for row in run.rows:
        evaluations += 1.0 if row.fidelity is None else row.fidelity
        found = ranked.get(row.architecture) if row.fidelity is None else None
        if found is None:
            continue
        dots.append(_point(evaluations, found))
        if found.rank < best:
            best = found.rank
            steps.append(dots[-1])
    if not steps:
        return None
    parts = any(row.fidelity is not None for row in run.rows)
    effort = "trainings of different candidates, in whole ones" if parts else "different candidates evaluated"
    return Progress(effort, evaluations, (*steps, (rounded(evaluations) or 0.0, steps[-1][1])), _some(dots))


def _point(evaluations: float, row: RankedRow) -> tuple[float, float]:
    return rounded(evaluations) or 0.0, rounded(row.score) or 0.0


def _some(dots: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    if len(dots) <= _MOST_DOTS:
        return tuple(dots)
    return tuple(dots[round(step * (len(dots) - 1) / (_MOST_DOTS - 1))] for step in range(_MOST_DOTS))
