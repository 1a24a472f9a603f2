"""Successive halving (Jamieson & Talwalkar, 2016) of the picks of the score (Mellor et al., 2021)."""

from __future__ import annotations

from collections.abc import Sequence

from naswot_lightning.search.algorithms.base import Limits, Proposal, Trial, best_of, expect_counts
from naswot_lightning.search.algorithms.random import sample_space
from naswot_lightning.storage.score_rows import ScoreRow
from spaces import Space


class SuccessiveHalving:
    """Scores a random sample as Algorithm 1 does, and trains its best for longer and longer.

    By default the best 27 by score train for 1/9 of the epochs, the best 9 of these for 1/3, and the best 3 of these
    for all: 9 whole trainings' worth of epochs. Each rung is one batch.

    Args:
        space: the search space.
        samples: how many are scored (fidelity 0), the same architectures as those of random sampling; they are no
            evaluations, which the other options count: ``rungs`` times ``picks / eta ** (rungs - 1)``.
        seed: of the run.
        limits: what candidates are within.
        picks: how many are trained on the first rung.
        eta: of how many one goes on to the next rung, where trainings are as many times as long.
        rungs: how many there are.

    Raises:
        UserError: an option is less than 1, or ``eta`` less than 2.
    """

    needs_initial_scores = True

    def __init__(
        self, space: Space, samples: int, seed: int, limits: Limits, picks: int = 27, eta: int = 3, rungs: int = 3
    ) -> None:
        expect_counts("halving", picks=picks, rungs=rungs)
        expect_counts("halving", least=2, eta=eta)
        self._space, self._samples, self._seed, self._limits = space, samples, seed, limits
        self._picks, self._eta, self._rungs = picks, eta, rungs

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the sample to be scored, or the next rung.

        Raises:
            UserError: the space has fewer architectures within the limits.
        """
        if not rows:
            return [Trial(each, 0.0) for each in sample_space(self._space, self._samples, self._seed, self._limits)]
        begin, end = 0, self._samples  # of the rows of the rung before
        count = min(self._picks, self._samples)
        for below in reversed(range(self._rungs)):
            if end == len(rows):
                return [on_rung(each, self._eta, below) for each in best_of(rows[begin:end], count)]
            begin, end, count = end, end + count, max(1, count // self._eta)
        return ()


def on_rung(architecture: str, eta: int, below: int) -> Proposal:
    """Return the proposal of an architecture ``below`` rungs under the top, whose trainings are whole.

    >>> on_rung("a", 2, 0), on_rung("a", 2, 2)
    ('a', Trial(architecture='a', fidelity=0.25))
    """
    return Trial(architecture, 1 / eta**below) if below else architecture
