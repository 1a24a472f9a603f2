"""What a search evaluated, in its order, as arrays: a million candidates are no million objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from naswot_lightning.report.run import Run
from naswot_lightning.storage.score_rows import ScoreRow

_MOST_REASONS = 20


@dataclass(frozen=True)
class Evaluations:
    """Finished candidates in the order in which they were finished.

    Attributes:
        rows: all of them.
        fidelities: (n,) the share of the epochs that each was trained for; 1 for a whole evaluation.
        whole: (n,) whether each was evaluated whole, hence is ranked.
        scores: (n,) NaN where there is none.
    """

    rows: Sequence[ScoreRow]
    fidelities: np.ndarray
    whole: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def places(self, architectures: Iterable[str]) -> dict[str, int]:
        """Return where each of some architectures was first evaluated whole."""
        wanted, found = set(architectures), dict[str, int]()
        for place, row in enumerate(self.rows):
            if row.fidelity is None and row.architecture in wanted:
                found.setdefault(row.architecture, place)
        return found

    def failures(self) -> tuple[tuple[str, str, int], ...]:
        """Return status and reason of those that have no score, and how many they are, the most first."""
        counts = Counter((row.status, row.reason or "no reason given") for row in self.rows if row.status != "ok")
        return tuple((status, reason, count) for (status, reason), count in counts.most_common(_MOST_REASONS))


def evaluations_of(run: Run) -> Evaluations:
    """Return the finished candidates of a run."""
    rows = run.rows
    return Evaluations(
        rows=rows,
        fidelities=np.array([1.0 if row.fidelity is None else row.fidelity for row in rows]),
        whole=np.array([row.fidelity is None for row in rows], dtype=bool),
        scores=np.array([row.score if row.status == "ok" else None for row in rows], dtype=float),
    )
