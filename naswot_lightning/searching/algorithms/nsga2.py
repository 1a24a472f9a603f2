"""NSGA-II (Deb et al., 2002): evolution that keeps the front of several objectives, spread along it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naswot_lightning.analysis.pareto import Objective, crowding_distances, non_dominated_ranks
from naswot_lightning.columns import SIZES
from naswot_lightning.errors import UserError
from naswot_lightning.searching.algorithms.base import (
    SpaceAlgorithm,
    architecture_from_decisions,
    expect_counts,
    sample_within_limits,
)
from naswot_lightning.seeds import derived_seed
from naswot_lightning.spaces import CategoricalSpace
from naswot_lightning.storage.score_rows import ScoreRow


@dataclass
class NSGA2(SpaceAlgorithm):
    """Proposes a random population, then as many children of it at a time.

    Of parents and children together those on the first fronts live on; of the last front that has room, those with the
    most room around them (crowding distance). A parent is the better of two members that are drawn: by its front, then
    by the room around it. A child takes each decision of one of two parents, and is mutated; where a space is no fixed
    number of decisions, it is a mutant of one. No architecture is proposed twice.

    Candidates beyond a budget are refused as by every algorithm; one that failed, or has an objective that is not
    known, is worse than all others.
    """

    objectives: Sequence[Objective] = ()
    """columns of which the candidates' values are known when they are finished."""
    population: int = 20
    crossover: float = 0.9
    """the share of children of two parents."""
    name = "nsga2"
    needs_objectives = True

    def __post_init__(self) -> None:
        expect_counts(self.name, least=2, population=self.population)
        if not 0 <= self.crossover <= 1:
            raise UserError(f"--algorithm nsga2: crossover={self.crossover}, expected a share from 0 to 1")
        if not self.objectives:
            raise UserError("--algorithm nsga2: name what to be good in, such as --objectives naswot,params")
        # The parents after so many rows, the last of which they were made with.
        self._known: tuple[int, ScoreRow | None, list[ScoreRow]] = (0, None, [])

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the first population, or the next children; none where no new one is found."""
        rng = random.Random(derived_seed(self.seed, self.name, len(rows)))
        count = min(self.population, self.samples - len(rows))
        if not rows:
            draw = lambda: self.space.sample(rng)  # noqa: E731
            return sample_within_limits(draw, count, self.limits, unique=True)
        parents, seen = self._parents(rows), {row.architecture for row in rows}
        # Best first: the earlier of two is the better one.
        chosen = lambda: parents[min(rng.choices(range(len(parents)), k=2))].architecture  # noqa: E731

        def child() -> str | None:
            architecture = self._cross(chosen(), chosen(), rng)
            mutant = None if architecture is None else self.space.mutate(architecture, rng)
            return None if mutant in seen else mutant

        return sample_within_limits(child, count, self.limits, unique=True)

    def _cross(self, one: str, other: str, rng: random.Random) -> str | None:
        if not isinstance(self.space, CategoricalSpace) or rng.random() >= self.crossover:
            return one
        pairs = zip(self.space.decisions(one), self.space.decisions(other), strict=True)
        return architecture_from_decisions(self.space, [rng.choice(pair) for pair in pairs])

    def _parents(self, rows: Sequence[ScoreRow]) -> list[ScoreRow]:
        """Return the members that live on, best first; generations are as long as the population."""
        end, last, parents = self._known
        if end > len(rows) or (end and rows[end - 1] is not last):
            # They are of another search.
            end, parents = 0, []
        for start in range(end, len(rows), self.population):
            generation = rows[start : start + self.population]
            parents = self._survivors([*parents, *generation])
            if len(generation) == self.population:
                self._known = start + self.population, generation[-1], parents
        return parents

    def _survivors(self, members: Sequence[ScoreRow]) -> list[ScoreRow]:
        costs = np.array([[self._cost(row, each) for each in self.objectives] for row in members])
        costs[np.isnan(costs).any(1)] = np.inf
        ranks = non_dominated_ranks(costs)
        order = np.lexsort((-crowding_distances(costs, ranks), ranks))
        return [members[place] for place in order[: self.population]]

    def _cost(self, row: ScoreRow, objective: Objective) -> float:
        """Return what is known of a row of which less is better; NaN of one that failed."""
        name = objective.name
        value: float | None = None
        if row.status == "ok":
            known = row.scores if name in row.scores else {each: getattr(row, each) for each in SIZES}
            value = known[name] if name in known else self.limits.costs[name](row.architecture)
        return np.nan if value is None else objective.cost(value)
