"""The best so far of a search, in the order in which candidates were evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from naswot_lightning.columns import Criterion
from naswot_lightning.report.html.candidates import rounded
from naswot_lightning.report.html.evaluations import Evaluations

_MOST_DOTS = 2_000  # of single candidates, evenly spaced
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Progress:
    """What a search had found after how many evaluations.

    Attributes:
        effort: what an evaluation is.
        steps: (evaluations, best so far) where it became better, and at the end.
        dots: (evaluations, score) of single candidates.
    """

    effort: str
    steps: Points
    dots: Points

    def to_json(self) -> dict[str, Any]:
        """Return it as the page's scripts read it."""
        return {"effort": self.effort, "steps": self.steps, "dots": self.dots}


def progress_of(evaluations: Evaluations, criterion: Criterion) -> Progress | None:
    """Return the best so far; trainings of a part of the epochs count for that part, and are never the best.

    None where no candidate has a score, and for ranks by several scores, which change with each further candidate.
    """
    known = np.flatnonzero(evaluations.whole & ~np.isnan(evaluations.scores))
    if criterion.is_relative or not known.size:
        return None
    effort, scores = np.cumsum(evaluations.fidelities), evaluations.scores
    end = (rounded(float(effort[-1])) or 0.0,)
    better = known[_is_better(scores[known], criterion.parts[0].higher_is_better)]
    steps = _points(effort, scores, better)
    parts = not evaluations.whole.all()
    return Progress(
        "trainings of different candidates, in whole ones" if parts else "different candidates evaluated",
        (*steps, (*end, steps[-1][1])),
        _points(effort, scores, known[_some(known.size)]),
    )


def _is_better(scores: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """Return where a score is better than all before it."""
    worth = scores if higher_is_better else -scores
    return np.concatenate(([True], worth[1:] > np.maximum.accumulate(worth)[:-1]))


def _some(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_DOTS)).round().astype(np.int64))


def _points(effort: np.ndarray, scores: np.ndarray, places: np.ndarray) -> Points:
    return tuple((rounded(float(effort[at])) or 0.0, rounded(float(scores[at])) or 0.0) for at in places)
