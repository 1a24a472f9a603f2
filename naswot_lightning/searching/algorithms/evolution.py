"""Regularised evolution (Real et al., 2019), and assisted by the score (Mellor et al., 2021)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from naswot_lightning.errors import UserError
from naswot_lightning.searching.algorithms.base import (
    Proposal,
    SpaceAlgorithm,
    Trial,
    best_of,
    expect_counts,
    sample_within_limits,
    score_or_neg_inf,
)
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.score_rows import ScoreRow


@dataclass
class RegularizedEvolution(SpaceAlgorithm):
    """Proposes a random population, then mutants of winners of small tournaments.

    As the authors of NAS-Bench-201 run it (Dong & Yang, 2020): a population of 10; the parent is the best of 3 members
    that are drawn with replacement; its child replaces the oldest. An architecture that comes up again is proposed
    again, and counts again.
    """

    population: int = 10
    """how many members it has: the latest candidates."""
    sample: int = 3
    """how many of them take part in a tournament, drawn with replacement."""
    children: int = 1
    """how many are proposed at a time; of several, none is another's parent."""
    name = "rea"

    def __post_init__(self) -> None:
        expect_counts(self.name, population=self.population, sample=self.sample, children=self.children)

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the first population, or the next children."""
        rng = random.Random(derived_seed(self.seed, self.name, len(rows)))
        if not rows:
            count = min(self.population, self.samples)
            return sample_within_limits(lambda: self.space.sample(rng), count, self.limits)
        return self.mutate_winners(rows[-self.population :], self.samples - len(rows), rng)

    def mutate_winners(self, members: Sequence[ScoreRow], most: int, rng: random.Random) -> list[str]:
        """Return the next children, at most ``most``; none where no child is found within the limits."""
        population = [(score_or_neg_inf(row), row.architecture) for row in members]

        def child() -> str:
            _, parent = max(rng.choices(population, k=self.sample), key=lambda member: member[0])
            return self.space.mutate(parent, rng)

        return sample_within_limits(child, min(self.children, most), self.limits)


@dataclass
class AssistedEvolution(RegularizedEvolution):
    """Scores a random sample, trains its best, and goes on from them as regularised evolution does.

    The paper scores 20 architectures and keeps 10. Scores are trials of fidelity 0: they are no members of the
    population, and no evaluations.
    """

    start: int = 20
    """how many are scored; fewer where there are no more."""
    name = "area"
    needs_initial_scores = True

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_counts(self.name, start=self.start)
        if self.start < self.population:
            least = f"expected at least the population of {self.population}"
            raise UserError(f"--algorithm area: start={self.start}, {least}")

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the sample to be scored, its best to be evaluated, or the next children."""
        rng = random.Random(derived_seed(self.seed, self.name, len(rows)))
        if not rows:
            found = sample_within_limits(lambda: self.space.sample(rng), self.start, self.limits, unique=True)
            return [Trial(architecture, 0.0) for architecture in found]
        scored = [row for row in rows[: self.start] if row.fidelity == 0]
        if len(rows) == len(scored):
            return best_of(scored, min(self.population, self.samples))
        members = rows[max(len(scored), len(rows) - self.population) :]
        return self.mutate_winners(members, self.samples - (len(rows) - len(scored)), rng)
