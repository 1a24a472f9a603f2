"""Searches of a benchmark's table, without files: seconds are those that the table's trainings took."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from naswot_lightning.analysis.trajectory import Curve
from naswot_lightning.search.algorithms.base import Algorithm, Proposal, score_or_neg_inf
from naswot_lightning.storage.score_rows import ScoreRow


@dataclass(frozen=True)
class History:
    """What a search evaluated, in order; an architecture that was proposed again is there again.

    Attributes:
        rows: the candidates.

    All other properties have one entry a row.
    """

    rows: tuple[ScoreRow, ...]

    @property
    def evaluations(self) -> tuple[float, ...]:
        """How many evaluations are done after each row: the sum of the fidelities; a score alone is none."""
        return tuple(accumulate(1.0 if row.fidelity is None else row.fidelity for row in self.rows))

    @property
    def seconds(self) -> tuple[float, ...]:
        """How many seconds have gone by after each row."""
        return tuple(accumulate(row.seconds for row in self.rows))

    @property
    def best(self) -> tuple[ScoreRow | None, ...]:
        """The best so far by score, the first of equal ones, out of whole evaluations that succeeded.

        None before there is one. Scores at initialization and trainings of a part of the epochs do not compare with
        whole trainings, and are left out.
        """
        best: list[ScoreRow | None] = []
        latest: ScoreRow | None = None
        for row in self.rows:
            counts = row.fidelity in (None, 1) and score_or_neg_inf(row) > -math.inf
            if counts and (latest is None or score_or_neg_inf(row) > score_or_neg_inf(latest)):
                latest = row
            best.append(latest)
        return tuple(best)

    def curve(self, value: Callable[[ScoreRow], float] = score_or_neg_inf) -> Curve:
        """Return the best so far, of another value where one is given.

        Args:
            value: of the best row; its score by default. The score alone decides which row is the best: a search that
                looks at the accuracy after 12 epochs can be shown by the accuracy after 200.
        """
        return Curve(self.evaluations, self.seconds, tuple(None if row is None else value(row) for row in self.best))


def simulate(
    algorithm: Algorithm, evaluate: Callable[[Proposal], ScoreRow], max_seconds: float | None = None
) -> History:
    """Run an algorithm until it ends or its time is over.

    The evaluation during which the time runs out is the last one, and counts, as in the scripts of NATS-Bench (Dong
    et al., 2021); those of NAS-Bench-201 leave it out.

    Args:
        algorithm: what proposes.
        evaluate: looks a proposal up, with the seconds that it took.
        max_seconds: the time; without it the algorithm ends by itself.
    """
    rows: list[ScoreRow] = []
    seconds = 0.0
    while batch := algorithm.propose(rows):
        for proposal in batch:
            rows.append(evaluate(proposal))
            seconds += rows[-1].seconds
            if max_seconds is not None and seconds >= max_seconds:
                return History(tuple(rows))
    return History(tuple(rows))


class Budget:
    """Ends another algorithm when the seconds of its candidates reach a budget.

    The rule is that of :func:`simulate`. A batch is proposed in parts: as many as the rest of the budget has room for
    if none takes longer than the longest so far, at least one; the first part is one. So parts depend on the rows
    alone, not on how many workers there are. Where candidates take longer than any before, the last part goes
    beyond the budget by their difference.

    Args:
        algorithm: what proposes; it sees its own whole batches, never a part of one.
        max_seconds: the budget.
    """

    def __init__(self, algorithm: Algorithm, max_seconds: float) -> None:
        self._algorithm, self._max_seconds = algorithm, max_seconds
        self._begin = self._seen = 0  # of the batch under way; rows whose seconds are added up
        self._batch: Sequence[Proposal] | None = None
        self._seconds = self._longest = 0.0

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the next part of the batch; nothing when the budget is spent, or the algorithm has ended."""
        if len(rows) < self._seen:  # another search
            self.__init__(self._algorithm, self._max_seconds)  # type: ignore[misc]
        for row in rows[self._seen :]:
            self._seconds += row.seconds
            self._longest = max(self._longest, row.seconds)
        self._seen = len(rows)
        if self._seconds >= self._max_seconds:
            return ()
        # Batches before the one under way are proposed again where they are not known.
        if self._batch is None:
            self._batch = self._algorithm.propose(rows[:0])
        while self._batch and self._begin + len(self._batch) <= len(rows):
            self._begin += len(self._batch)
            self._batch = self._algorithm.propose(rows[: self._begin])
        rest = self._batch[len(rows) - self._begin :]
        if not rows:
            return rest[:1]
        room = (self._max_seconds - self._seconds) / self._longest if self._longest else math.inf
        return rest[: max(1, int(min(room, len(rest))))]
