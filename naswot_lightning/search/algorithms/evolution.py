"""Regularised evolution (Real et al., 2019), and assisted by the score (Mellor et al., 2021)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from naswot_lightning.errors import UserError
from naswot_lightning.search.algorithms.base import (
    Limits,
    Proposal,
    Trial,
    best_of,
    expect_counts,
    require_nonempty,
    sample_unique,
    sample_within_limits,
    score_or_neg_inf,
)
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.score_rows import ScoreRow
from spaces import Space


class RegularizedEvolution:
    """Proposes a random population, then mutants of winners of small tournaments.

    As the authors of NAS-Bench-201 run it (Dong & Yang, 2020): a population of 10; the parent is the best of 3 members
    that are drawn with replacement; its child replaces the oldest. An architecture that comes up again is proposed
    again, and counts again.

    Args:
        space: the search space.
        samples: how many are evaluated, the population's first members among them.
        seed: of the run.
        limits: what candidates are within.
        population: how many members it has: the latest candidates.
        sample: how many of them take part in a tournament.
        children: how many are proposed at a time; of several, none is another's parent.

    Raises:
        UserError: an option is less than 1.
    """

    def __init__(
        self,
        space: Space,
        samples: int,
        seed: int,
        limits: Limits,
        population: int = 10,
        sample: int = 3,
        children: int = 1,
    ) -> None:
        expect_counts("rea", population=population, sample=sample, children=children)
        self._space, self._samples, self._seed, self._limits = space, samples, seed, limits
        self._population = population
        self._evolution = Evolution(space, limits, sample, children)

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the first population, or the next children.

        Raises:
            UserError: nothing is within the limits.
        """
        rng = random.Random(derived_seed(self._seed, "rea", len(rows)))
        if not rows:
            count = min(self._population, self._samples)
            return require_nonempty(sample_within_limits(lambda: self._space.sample(rng), count, self._limits))
        return self._evolution.step(rows[-self._population :], self._samples - len(rows), rng)


@dataclass(frozen=True)
class Evolution:
    """One step of evolution.

    Attributes:
        space: whose mutation it uses.
        limits: what children are within.
        sample: how many members take part in a tournament, drawn with replacement.
        children: how many are made at a time.
    """

    space: Space
    limits: Limits
    sample: int
    children: int

    def step(self, members: Sequence[ScoreRow], most: int, rng: random.Random) -> list[str]:
        """Return the next children, at most ``most``; none where no child is found within the limits."""
        population = [(score_or_neg_inf(row), row.architecture) for row in members]

        def child() -> str:
            tournament = rng.choices(population, k=self.sample)
            _, parent = max(tournament, key=lambda member: member[0])
            return self.space.mutate(parent, rng)

        return sample_within_limits(child, min(self.children, most), self.limits)


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
        population: as for :class:`RegularizedEvolution`, like the next two.
        sample: of a tournament.
        children: at a time.

    Raises:
        UserError: an option is less than 1, or the sample is smaller than the population.
    """

    needs_initial_scores = True

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
            found = require_nonempty(sample_unique(lambda: self._space.sample(rng), self._start, self._limits))
            return [Trial(architecture, 0.0) for architecture in found]
        scored = [row for row in rows[: self._start] if row.fidelity == 0]
        if len(rows) == len(scored):
            return best_of(scored, min(self._population, self._samples))
        members = rows[max(len(scored), len(rows) - self._population) :]
        return self._evolution.step(members, self._samples - (len(rows) - len(scored)), rng)
