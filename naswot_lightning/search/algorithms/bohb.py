"""BOHB (Falkner et al., 2018): Hyperband whose candidates are drawn where good ones were dense."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from naswot_lightning.errors import UserError
from naswot_lightning.search.algorithms.base import (
    Limits,
    Proposal,
    architecture_from_decisions,
    best_of,
    expect_counts,
    require_categorical,
    require_nonempty,
    sample_within_limits,
    score_or_neg_inf,
)
from naswot_lightning.search.algorithms.halving import on_rung
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.score_rows import ScoreRow
from spaces import Space

_GOOD = 0.15  # of the observations, the share that is called good
_SILVERMAN = 1.06


class Rung(NamedTuple):
    """One rung of a bracket."""

    begin: int
    """the index of its first candidate among the rows."""
    size: int
    """how many candidates it has."""
    whole: int
    """the same where the samples were without end."""
    before: int
    """how many candidates the rung before it has; 0 on the first rung of a bracket."""
    below: int
    """how many rungs it is under the top."""


class BOHB:
    """Brackets of successive halving, one after the other, each rung one batch.

    With three rungs and ``eta`` 3, as on NAS-Bench-201 (1 to 12 epochs): 9 candidates train for 1/9 of the epochs, the
    best 3 of them for 1/3, the best of these for all; then 3 for 1/3 and the best for all; then 3 for all; and again.
    New candidates of a bracket are drawn from a model of the longest trainings of which there are enough
    (:class:`Densities`), one in three at random. Those of a rung are
    drawn from one model, so that they can be trained side by side.

    Each trial is trained from the start. What was proposed before is passed over where the model draws anything else,
    and counts once in the model; an architecture that is proposed again counts again. The paper's software does
    neither (``repeats``): with few decisions the model soon proposes one architecture again and again, and finds less
    than random search does. The bandwidth factor of the paper is for continuous parameters; there are none here.

    Args:
        space: of independent decisions.
        samples: whole trainings' worth of epochs: the sum of the fidelities.
        seed: of the run.
        limits: what candidates are within.
        eta: of how many one goes on to the next rung, where trainings are as many times as long.
        rungs: how many there are; 1 is a search with whole trainings alone.
        random_fraction: of candidates that are drawn at random.
        min_bandwidth: of the kernels; 0.3 as on NAS-Bench-201, 0.001 in the paper's software.
        candidates: how many are drawn from the density of the good ones; the best by the ratio is proposed.
        repeats: leave what was proposed before among the candidates, and in the model as often as it was.

    Raises:
        UserError: the space is not one of decisions, or an option is out of its range.
    """

    def __init__(
        self,
        space: Space,
        samples: int,
        seed: int,
        limits: Limits,
        eta: int = 3,
        rungs: int = 3,
        random_fraction: float = 1 / 3,
        min_bandwidth: float = 0.3,
        candidates: int = 64,
        repeats: bool = False,
    ) -> None:
        expect_counts("bohb", rungs=rungs, candidates=candidates)
        expect_counts("bohb", least=2, eta=eta)
        if not (0 <= random_fraction <= 1 and 0 < min_bandwidth <= 1):
            raise UserError(
                "--algorithm bohb: expected random_fraction from 0 to 1, and min_bandwidth above 0, at most 1"
            )
        self._space, self._samples, self._seed, self._limits = space, samples, seed, limits
        self._categorical = require_categorical(space, "bohb")
        self._sizes = [len(options) for options in self._categorical.choices]
        self._eta, self._rungs, self._repeats = eta, rungs, repeats
        self._random_fraction, self._min_bandwidth, self._candidates = random_fraction, min_bandwidth, candidates
        # To read an architecture takes longer than all else.
        self._decisions = lru_cache(maxsize=None)(self._categorical.decisions)

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the next rung.

        Raises:
            UserError: nothing is within the limits.
        """
        rung = next((each for each in self._schedule() if each.begin >= len(rows) or each.size < each.whole), None)
        if rung is None or rung.begin != len(rows):
            return ()
        latest = rows[rung.begin - rung.before :]
        found = best_of(latest, rung.size) if rung.before else self._new(rows, rung.size)
        return [on_rung(each, self._eta, rung.below) for each in found]

    def _schedule(self) -> Iterator[Rung]:
        """Yield the rungs until the samples are used up; the last one may be cut short."""
        begin, left = 0, self._samples * self._eta ** (self._rungs - 1)  # in trainings of the lowest rung
        while True:
            for first in reversed(range(self._rungs)):  # a bracket begins so many rungs under the top
                start = self._rungs // (first + 1) * self._eta**first
                before = 0
                for below in reversed(range(first + 1)):
                    whole = max(1, start // self._eta ** (first - below))
                    cost = self._eta ** (self._rungs - 1 - below)
                    count = min(whole, left // cost)
                    yield Rung(begin, count, whole, before, below)
                    if count < whole:
                        return
                    begin, left, before = begin + count, left - count * cost, count

    def _new(self, rows: Sequence[ScoreRow], count: int) -> list[str]:
        seed = derived_seed(self._seed, "bohb", len(rows))
        rng, generator = random.Random(seed), np.random.default_rng(seed)
        densities = self._densities(rows)
        passed_over = set() if self._repeats else {row.architecture for row in rows}

        def draw() -> str | None:
            if densities is None or rng.random() < self._random_fraction:
                return self._space.sample(rng)
            decisions = densities.candidates(self._candidates, generator)
            options = [
                each for each in (architecture_from_decisions(self._categorical, every) for every in decisions) if each
            ]
            best = next((each for each in options if each not in passed_over), options[0] if options else None)
            if best is not None and not self._repeats:
                passed_over.add(best)
            return best

        found = sample_within_limits(draw, count, self._limits)
        return require_nonempty(found) if count and not rows else found

    def _densities(self, rows: Sequence[ScoreRow]) -> Densities | None:
        """Return the model of the highest rung of which there are enough trainings."""
        observed: dict[float, list[ScoreRow]] = {}
        for row in rows:
            observed.setdefault(1.0 if row.fidelity is None else row.fidelity, []).append(row)
        for fidelity in sorted(observed, reverse=True):
            best_first = sorted(observed[fidelity], key=score_or_neg_inf, reverse=True)
            if not self._repeats:
                best_first = list({row.architecture: row for row in best_first}.values())
            if len(best_first) >= Densities.fewest(self._sizes):
                decisions = np.array([self._decisions(row.architecture) for row in best_first])
                return Densities(decisions, self._sizes, self._min_bandwidth)
        return None


class Densities:
    """Two kernel densities, of the good observations and of the others.

    A density is the mean over its observations of a product over decisions of the kernel of Aitchison & Aitken (1976):
    1 - h where the option is the observation's, h / (options - 1) for each other option. The bandwidth h is the normal
    reference rule, 1.06 s n^(-1 / (4 + decisions)). The paper's software takes s of the options' numbers; options have
    no order, so here the variance s^2 is half the chance that two observations differ, as of numbers it is half their
    mean squared difference. A kernel is at most flat.

    Args:
        decisions: (observations, decisions) options, the best observation first.
        sizes: how many options each decision has.
        min_bandwidth: the least h, above 0.
    """

    def __init__(self, decisions: np.ndarray, sizes: Sequence[int], min_bandwidth: float) -> None:
        good = max(len(sizes) + 1, int(_GOOD * len(decisions)))
        self._sizes = np.array(sizes)
        self._good, self._bad = (
            Density(part, self._sizes, min_bandwidth) for part in (decisions[:good], decisions[good:])
        )

    @staticmethod
    def fewest(sizes: Sequence[int]) -> int:
        """Return how many observations are needed: each density has more than there are decisions."""
        return 2 * (len(sizes) + 1)

    def candidates(self, count: int, generator: np.random.Generator) -> list[list[int]]:
        """Draw from the density of the good ones; the highest ratio of good to bad comes first."""
        drawn = self._good.draw(count, generator)
        ratio = self._good(drawn) / self._bad(drawn)
        return drawn[np.argsort(-ratio, kind="stable")].tolist()


class Density:
    """A kernel density over decisions.

    Args:
        observations: (n, decisions) options.
        sizes: (decisions,) how many options there are.
        min_bandwidth: the least h, above 0.

    Attributes:
        bandwidths: (decisions,) h.
    """

    def __init__(self, observations: np.ndarray, sizes: np.ndarray, min_bandwidth: float) -> None:
        self._observations, self._sizes = observations, sizes
        count, decisions = observations.shape
        shares = (observations[:, :, None] == np.arange(sizes.max())).mean(0)
        deviation = np.sqrt((1 - (shares**2).sum(1)) / 2)
        flat = (sizes - 1) / sizes
        self.bandwidths = np.clip(_SILVERMAN * deviation * count ** (-1 / (4 + decisions)), min_bandwidth, flat)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the density at (m, decisions) points, (m,)."""
        equal = points[:, None] == self._observations
        other = self.bandwidths / np.maximum(self._sizes - 1, 1)
        return np.where(equal, 1 - self.bandwidths, other).prod(2).mean(1)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Draw ``count`` points, (count, decisions): an observation, each decision left with probability 1 - h.

        A decision that is not left is drawn from all its options, as the paper's software does.
        """
        points = self._observations[generator.integers(len(self._observations), size=count)]
        kept = generator.random(points.shape) < 1 - self.bandwidths
        return np.where(kept, points, generator.integers(self._sizes, size=points.shape))
