"""What a search evaluated, in its order, as arrays: a million candidates are no million objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from naswot_lightning.report.run import Run
from naswot_lightning.storage.columnar import Records
from naswot_lightning.storage.fields import Floats
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

    rows: Records[ScoreRow] | tuple[()]
    fidelities: Floats
    whole: np.ndarray
    scores: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def places(self, architectures: Iterable[str]) -> dict[str, int]:
        """Return where each of some architectures was first evaluated whole."""
        wanted, found = set(architectures), dict[str, int]()
        if self.rows:
            for place, (architecture, whole) in enumerate(
                zip(self.rows.field("architecture"), self.whole, strict=True)
            ):
                if whole and architecture in wanted:
                    found.setdefault(architecture, place)
        return found

    def failures(self) -> tuple[tuple[str, str, int], ...]:
        """Return status and reason of those that have no score, and how many they are, the most first."""
        if not self.rows:
            return ()
        places = np.flatnonzero(self.rows.field("status").map(lambda status: status != "ok"))
        found = self.rows.choose(places.tolist())
        counts = Counter((row.status, row.reason or "no reason given") for row in found)
        return tuple((status, reason, count) for (status, reason), count in counts.most_common(_MOST_REASONS))


def evaluations_of(run: Run) -> Evaluations:
    """Return the finished candidates of a run."""
    rows = run.rows
    if not isinstance(rows, Records) or not rows:
        return Evaluations((), np.empty(0), np.empty(0, bool), np.empty(0))
    fidelities = list(rows.field("fidelity"))
    return Evaluations(
        rows=rows,
        fidelities=np.array([1.0 if fidelity is None else fidelity for fidelity in fidelities]),
        whole=np.array([fidelity is None for fidelity in fidelities]),
        scores=np.where(rows.field("status").map(lambda status: status == "ok"), rows.field("score").values(), np.nan),
    )
