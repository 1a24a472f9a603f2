"""The interface of a search algorithm, and what the algorithms share: trials, limits, budgets, draws within limits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from naswot_lightning.columns import budget_of
from naswot_lightning.console import format_cell
from naswot_lightning.errors import UserError
from naswot_lightning.registry import resolve_with_options
from naswot_lightning.spaces import CategoricalSpace, Space, SpaceError, get_space, list_spaces
from naswot_lightning.spaces.errors import TooLargeError
from naswot_lightning.storage.score_rows import ScoreRow

# There is nothing more to find after this many draws in a row that were rejected, or were known before.
_FRUITLESS_DRAWS = 1_000


@dataclass(frozen=True)
class Trial:
    """An architecture, to be evaluated with a part of the effort."""

    architecture: str
    fidelity: float
    """the share of the evaluator's epochs, from 0 to 1; 0 is the score at initialization, without training."""

    def __post_init__(self) -> None:
        if not 0 <= self.fidelity <= 1:
            raise ValueError(f"fidelity {self.fidelity}: expected a share from 0 to 1")


# An architecture alone is evaluated as the evaluator does by default, a network once.
Proposal = str | Trial


def architecture_of(proposal: Proposal) -> str:
    """Return the architecture that is proposed."""
    return proposal.architecture if isinstance(proposal, Trial) else proposal


def with_architecture(proposal: Proposal, architecture: str) -> Proposal:
    """Return the same proposal of another architecture."""
    return Trial(architecture, proposal.fidelity) if isinstance(proposal, Trial) else architecture


def proposal_of(row: ScoreRow) -> Proposal:
    """Return what was proposed of a finished row."""
    return row.architecture if row.fidelity is None else Trial(row.architecture, row.fidelity)


class Algorithm(Protocol):
    """Proposes candidates, batch by batch.

    A pure function of the rows: to resume a search is to replay ``scores.jsonl``; no other state is saved. What it
    draws at random it draws from (seed, rows) alone.
    """

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the next batch of architectures, or of cheaper trials of them; an empty one is the end.

        ``rows`` are all candidates proposed so far, finished, in the order of their proposal, whatever the executor.
        """


# What an architecture costs; None where that is not known.
Cost = Callable[[str], float | None]


@dataclass
class Limits:
    """Keeps candidates within budgets, and counts those it rejected."""

    budgets: Mapping[str, float] = field(default_factory=dict)
    """the upper bound of each cost, by its name; cheap costs come first."""
    costs: Mapping[str, Cost] = field(default_factory=dict)
    """one that is predicted has a method ``upper``: budgets hold for what that returns."""
    n_seen: int = field(default=0, init=False)
    n_rejected: int = field(default=0, init=False)
    smallest: dict[str, float] = field(default_factory=dict, init=False)
    """the smallest value of each cost, among candidates that meet the budgets before it."""
    unknown: Counter[str] = field(default_factory=Counter, init=False)
    """candidates without each cost."""

    def accepts(self, architecture: str) -> bool:
        """Return whether the architecture is within the budgets.

        One that is larger than its space builds, or of which a cost is not known, is not. One that cannot be built to
        be counted is: its row says why.
        """
        if not self.budgets:
            return True
        try:
            # The first that is not met is the last that is asked for: to count a network takes milliseconds.
            within = all(self._meets(name, most, architecture) for name, most in self.budgets.items())
        except TooLargeError:
            within = False
        except (UserError, OSError):
            # They are of the data, which the first count loads.
            raise
        except (Exception, SystemExit):  # noqa: BLE001 - any fault of one network is reported with it, later
            within = True
        self.n_seen += 1
        self.n_rejected += not within
        return within

    def _meets(self, name: str, most: float, architecture: str) -> bool:
        known = self.costs[name]
        cost = getattr(known, "upper", known)(architecture)
        if cost is None:
            self.unknown[name] += 1
            return False
        self.smallest[name] = min(cost, self.smallest.get(name, cost))
        return cost <= most

    def __str__(self) -> str:
        share = 100 * self.n_rejected / self.n_seen if self.n_seen else 0.0
        given = [
            f"--{budget_of(name)} {format_cell(most)}" for name, most in self.budgets.items() if math.isfinite(most)
        ]
        said = f"{self.n_rejected:,} of {self.n_seen:,} candidates left out ({share:.1f} %)"
        said = f"{', '.join(given)}: {said}" if given else said
        return ", ".join([said, *(f"{count:,} without {name}" for name, count in self.unknown.items())])

    def nothing_fits(self) -> UserError:
        """Return the error of a search that has no first candidate."""
        smallest = {name: cost for name, cost in self.smallest.items() if math.isfinite(self.budgets[name])}
        least = ", ".join(f"{name} {format_cell(cost)}" for name, cost in smallest.items())
        seen = f"; the smallest seen: {least}; raise the limits" if least else ""
        return UserError(f"no candidate meets the limits: {self}{seen}")


@dataclass
class SpaceAlgorithm:
    """Arguments of every algorithm; options of one are further fields."""

    space: Space
    samples: int
    """how many candidates are evaluated; scores do not count where they only choose what is trained."""
    seed: int
    limits: Limits


# Arguments of every algorithm; further arguments of its constructor are options of --algorithm.
_GIVEN = (*(each.name for each in fields(SpaceAlgorithm)), "objectives")


def get_algorithm(name: str) -> tuple[Callable[..., Algorithm], dict[str, Any]]:
    """Return the constructor of the algorithm of that name, and its options: ``rea:population=20,children=4``."""
    _, constructor, options = resolve_with_options("algorithm", name, _GIVEN)
    return constructor, options


@dataclass
class Budget:
    """Ends another algorithm when the seconds of its candidates reach ``max_seconds``.

    The evaluation during which the time runs out is the last one, and counts, as in
    :func:`~naswot_lightning.searching.loop.simulate`. ``algorithm`` sees its own whole batches, never a part of one.
    Where candidates take longer than any before, the last part goes beyond the budget by their difference.
    """

    algorithm: Algorithm
    max_seconds: float

    def __post_init__(self) -> None:
        # Where the batch under way begins, and the rows whose seconds are added up.
        self._begin = self._seen = 0
        self._batch: Sequence[Proposal] | None = None
        self._seconds = self._longest = 0.0

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the next part of the batch; nothing when the budget is spent, or the algorithm has ended."""
        if len(rows) < self._seen:
            # It is of another search.
            self.__post_init__()
        for row in rows[self._seen :]:
            self._seconds += row.seconds
            self._longest = max(self._longest, row.seconds)
        self._seen = len(rows)
        if self._seconds >= self.max_seconds:
            return ()
        # Batches before the one under way are proposed again where they are not known.
        if self._batch is None:
            self._batch = self.algorithm.propose(rows[:0])
        while self._batch and self._begin + len(self._batch) <= len(rows):
            self._begin += len(self._batch)
            self._batch = self.algorithm.propose(rows[: self._begin])
        rest = self._batch[len(rows) - self._begin :]
        if not rows:
            return rest[:1]
        # As many as the rest of the budget has room for if none takes longer than the longest so far: parts depend on
        # the rows alone, not on how many workers there are.
        room = (self.max_seconds - self._seconds) / self._longest if self._longest else math.inf
        return rest[: max(1, int(min(room, len(rest))))]


def score_or_neg_inf(row: ScoreRow) -> float:
    """Return the score of a candidate; one that is not ok is worse than all others."""
    return row.score if row.status == "ok" and row.score is not None else -math.inf


def best_of(rows: Sequence[ScoreRow], count: int) -> list[str]:
    """Return the architectures of the best rows, best first; equal scores in the order of their proposal."""
    return [row.architecture for row in sorted(rows, key=score_or_neg_inf, reverse=True)[:count]]


def sample_within_limits(draw: Callable[[], str | None], count: int, limits: Limits, unique: bool = False) -> list[str]:
    """Return ``count`` architectures, each drawn by itself; fewer where no more are found.

    ``draw`` returns None where what it drew is not of the space. ``unique`` are no two the same.
    """
    found: list[str] = []
    seen: set[str] = set()
    fruitless = 0
    while len(found) < count and fruitless < _FRUITLESS_DRAWS:
        architecture = draw()
        fruitless += 1
        if architecture is None or (unique and architecture in seen):
            continue
        seen.add(architecture)
        if limits.accepts(architecture):
            found.append(architecture)
            fruitless = 0
    return found


def expect_counts(algorithm: str, least: int = 1, **counts: int) -> None:
    """Raise :class:`UserError` where an option of an algorithm is less than the least."""
    for name, count in counts.items():
        if count < least:
            raise UserError(f"--algorithm {algorithm}: {name}={count}, expected at least {least}")


def require_categorical(space: Space, algorithm: str) -> CategoricalSpace:
    """Return the space as one of independent decisions; raise :class:`UserError` where it is none."""
    if isinstance(space, CategoricalSpace):
        return space
    known = ", ".join(name for name in list_spaces() if isinstance(get_space(name), CategoricalSpace))
    decisions = f"architectures of {space.name} are not made of a fixed number of decisions"
    raise UserError(f"--algorithm {algorithm}: {decisions}; choose one of {known}")


def architecture_from_decisions(space: CategoricalSpace, decisions: Sequence[int]) -> str | None:
    """Return the architecture of the decisions, or None where they exclude each other."""
    try:
        return space.from_decisions(decisions)
    except SpaceError:
        return None
