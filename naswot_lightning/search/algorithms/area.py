"""Assisted regularised evolution (Mellor et al., 2021): the score picks the first population."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from naswot_lightning.errors import UserError
from naswot_lightning.search.algorithms.candidates import distinct, expect_counts, expect_some, merit
from naswot_lightning.search.algorithms.rea import Evolution
from naswot_lightning.search.trial import Proposal, Trial
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.score_rows import ScoreRow

if TYPE_CHECKING:
    from naswot_lightning.search.limits import Limits
    from spaces import Space


class AssistedEvolution:
    """Scores a random sample, trains its best, and goes on from them as regularised evolution does.

    The paper scores 20 architectures and keeps 10. Scores are trials of fidelity 0: they are no members of the
    population, and no evaluations.

    Args:
        space: the search space.
        samples: how many are evaluated, scores not counted.
        seed: of the run.
        limits: what candidates are within.
        start: how many are scored; fewer where there are no more.
        population: as for :class:`~naswot_lightning.search.algorithms.rea.RegularizedEvolution`, like the next two.
        sample: of a tournament.
        children: at a time.

    Raises:
        UserError: an option is less than 1, or the sample is smaller than the population.
    """

    begins_with_scores = True

    def __init__(
        self,
        space: Space,
        samples: int,
        seed: int,
        limits: Limits,
        start: int = 20,
        population: int = 10,
        sample: int = 3,
        children: int = 1,
    ) -> None:
        expect_counts("area", start=start, population=population, sample=sample, children=children)
        if start < population:
            raise UserError(f"--algorithm area: start={start}, expected at least the population of {population}")
        self._space, self._samples, self._seed, self._limits = space, samples, seed, limits
        self._start, self._population = start, population
        self._evolution = Evolution(space, limits, sample, children)

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the sample to be scored, its best to be evaluated, or the next children.

        Raises:
            UserError: nothing is within the limits.
        """
        rng = random.Random(derived_seed(self._seed, "area", len(rows)))
        if not rows:
            found = expect_some(distinct(lambda: self._space.sample(rng), self._start, self._limits))
            return [Trial(architecture, 0.0) for architecture in found]
        scored = [row for row in rows[: self._start] if row.fidelity == 0]
        if len(rows) == len(scored):
            best = sorted(scored, key=merit, reverse=True)
            return [row.architecture for row in best[: min(self._population, self._samples)]]
        members = rows[max(len(scored), len(rows) - self._population) :]
        return self._evolution.step(members, self._samples - (len(rows) - len(scored)), rng)
