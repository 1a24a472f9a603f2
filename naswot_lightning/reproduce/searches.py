"""Searches with feedback on a table, many seeds of each: nothing is trained, and scores are looked up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from naswot_lightning.benchmarks import Table
from naswot_lightning.benchmarks.known_space import KnownSpace, space_of
from naswot_lightning.benchmarks.targets import Target, search_target
from naswot_lightning.reproduce.sampling import candidates
from naswot_lightning.reproduce.score_table import ScoreTable, score_table
from naswot_lightning.reproduce.settings import Scoring
from naswot_lightning.reproduce.tables import scored_space
from naswot_lightning.scorer import Evaluation
from naswot_lightning.search.algorithms import get_algorithm
from naswot_lightning.search.algorithms.base import Algorithm
from naswot_lightning.search.evaluators.table import TableEvaluator
from naswot_lightning.search.limits import Limits
from naswot_lightning.search.loop import row_of
from naswot_lightning.search.simulation import History, simulate
from naswot_lightning.search.trial import Proposal, Trial
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.score_rows import ScoreRow

_LOOKED_AT = 2_000  # architectures of whose seconds the shortest is taken: of NAS-Bench-101, a sixth of a second
_RESERVE = 3  # others are not so much quicker that seconds, not evaluations, would not end a search


@dataclass(frozen=True)
class Effort:
    """When a search ends.

    Attributes:
        evaluations: as many, or
        seconds: of training, where the table has them.
    """

    evaluations: int
    seconds: float | None = None


@dataclass(frozen=True)
class Ground:
    """What searches of one data set stand on.

    Attributes:
        table: what is known.
        dataset: whose accuracies direct them, by our name.
    """

    table: Table
    dataset: str

    @cached_property
    def space(self) -> KnownSpace:
        """The architectures of the table as a space."""
        return space_of(self.table)

    @cached_property
    def target(self) -> Target:
        """The accuracy that directs the searches: on validation images, after 12 epochs where the table has them."""
        return search_target(self.table, self.dataset)

    @cached_property
    def quickest(self) -> float | None:
        """Seconds of the shortest training out of many; None where the table does not know them of each."""
        target, every = self.target, self.table.architectures
        looked_at = candidates(len(every), _LOOKED_AT, seed=0).tolist()
        seconds = [self.table.seconds(every[place], target.dataset, target.epochs) for place in looked_at]
        known = [each for each in seconds if each]
        return min(known) if known and len(known) == len(seconds) else None

    @cached_property
    def has_parts(self) -> bool:
        """Whether there are accuracies after a third and a ninth of the epochs, which BOHB's first rungs look at."""
        target, first = self.target, self.table.architectures[0]
        parts = {max(1, round(target.epochs / share)) for share in (3, 9)} - {target.epochs}
        asked = (target.dataset, target.split, target.epochs)
        return all(self.table.accuracy_at(first, *asked, part) is not None for part in parts)

    def effort(self, budget: float | None, evaluations: int | None) -> Effort | None:
        """Return how long searches go on: a budget of seconds where the table has them, or so many evaluations.

        None where neither is there.
        """
        if budget is not None and self.quickest is not None:
            return Effort(math.ceil(_RESERVE * budget / self.quickest), budget)
        return None if evaluations is None else Effort(evaluations)


def run_searches(
    ground: Ground, algorithm: str, effort: Effort, seeds: int, settings: Scoring, images: str
) -> list[History]:
    """Return what an algorithm evaluates, one history a seed.

    Args:
        ground: what it searches.
        algorithm: as ``--algorithm`` takes it.
        effort: when it ends.
        seeds: how many.
        settings: how networks are scored, where the algorithm begins with scores.
        images: the data set of the mini-batch.
    """
    made = [_algorithm(ground, algorithm, effort, derived_seed(settings.seed, "search", n)) for n in range(seeds)]
    scored = _asked_for_scores(made)
    scores = score_table(settings, scored_space(settings, ground.table), images, scored) if scored else None
    evaluate = Lookups(ground, scores)
    return [simulate(each, evaluate, effort.seconds) for each in made]


def expect_known(ground: Ground, algorithm: str, effort: Effort, seed: int) -> None:
    """Raise :class:`UserError` where the table does not know the trainings that an algorithm begins with."""
    first = _algorithm(ground, algorithm, effort, seed).propose([])
    trained = (each for each in first if isinstance(each, Trial) and each.fidelity)
    if (training := next(trained, None)) is not None:
        Lookups(ground, None)(training)


def _algorithm(ground: Ground, name: str, effort: Effort, seed: int) -> Algorithm:
    limits = Limits(None, None, ground.space.complexity)
    most = min(effort.evaluations, len(ground.space)) if name == "random" else effort.evaluations
    return get_algorithm(name)(ground.space, most, seed, limits)


def _asked_for_scores(algorithms: Sequence[Algorithm]) -> list[str]:
    """Return the architectures that the algorithms look at before any training."""
    first = (proposal for algorithm in algorithms for proposal in algorithm.propose([]))
    return list(dict.fromkeys(each.architecture for each in first if isinstance(each, Trial) and not each.fidelity))


class Lookups:
    """Looks proposals up: accuracies and seconds in a table, scores in the table of scores.

    Args:
        ground: what is searched.
        scores: of all architectures that are proposed without training; None where there are none.
    """

    def __init__(self, ground: Ground, scores: ScoreTable | None) -> None:
        self._space, self._scores = ground.space.name, scores
        self._evaluate = TableEvaluator(ground.table, ground.target, "", ground.space.complexity)
        self._timed = ground.quickest is not None  # seconds of scores alone are no seconds of a search
        self._known: dict[Proposal, ScoreRow] = {}

    def __call__(self, proposal: Proposal) -> ScoreRow:
        """Return the row of a proposal; one that is proposed again has its seconds again."""
        if proposal not in self._known:
            self._known[proposal] = row_of(self._space, proposal, proposal, self._values(proposal), 0, "")
        return self._known[proposal]

    def _values(self, proposal: Proposal) -> Evaluation:
        if self._scores is not None and isinstance(proposal, Trial) and not proposal.fidelity:
            values = self._scores.values(proposal.architecture)
            return values if self._timed else replace(values, seconds=0.0)
        return self._evaluate(proposal)


def places_of_picks(table: Table, histories: Sequence[History]) -> np.ndarray:
    """Return the place in the table of the best of each search; searches that found nothing are left out."""
    best = (history.best[-1] for history in histories if history.rows)
    return np.array([table.row(row.architecture) for row in best if row is not None], dtype=int)
