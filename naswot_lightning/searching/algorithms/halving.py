"""Successive halving (Jamieson & Talwalkar, 2016) of the picks of the score, and its brackets in BOHB."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from naswot_lightning.errors import UserError
from naswot_lightning.searching.algorithms.base import (
    Proposal,
    SpaceAlgorithm,
    Trial,
    architecture_from_decisions,
    best_of,
    expect_counts,
    require_categorical,
    sample_within_limits,
    score_or_neg_inf,
)
from naswot_lightning.searching.algorithms.random import sample_space
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.score_rows import ScoreRow

# Of the observations, the share that BOHB calls good.
_GOOD = 0.15
# The normal reference rule (Silverman, 1986) of a bandwidth h: 1.06 s n^(-1 / (4 + decisions)).
_SILVERMAN = 1.06


def _propose_rung(architectures: Sequence[str], eta: int, below: int) -> list[Proposal]:
    """Return the trials of a rung that is ``below`` others under the top one, whose trainings are whole."""
    return [Trial(each, 1 / eta**below) if below else each for each in architectures]


@dataclass
class SuccessiveHalving(SpaceAlgorithm):
    """Scores a random sample as Algorithm 1 does, and trains its best for longer and longer (Mellor et al., 2021).

    By default the best 27 by score train for 1/9 of the epochs, the best 9 of these for 1/3, and the best 3 of these
    for all: 9 whole trainings' worth of epochs. Each rung is one batch. ``samples`` architectures are scored (fidelity
    0), the same as those of random sampling; the evaluations are ``rungs`` times ``picks / eta ** (rungs - 1)``.
    """

    picks: int = 27
    """how many are trained on the first rung."""
    eta: int = 3
    """of how many one goes on to the next rung, where trainings are as many times as long."""
    rungs: int = 3
    needs_initial_scores = True

    def __post_init__(self) -> None:
        expect_counts("halving", picks=self.picks, rungs=self.rungs)
        expect_counts("halving", least=2, eta=self.eta)

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the sample to be scored, or the next rung."""
        if not rows:
            return [Trial(each, 0.0) for each in sample_space(self.space, self.samples, self.seed, self.limits)]
        # Of the rows of the rung before, and how many of them go on.
        begin, end, count = 0, self.samples, min(self.picks, self.samples)
        for below in reversed(range(self.rungs)):
            if end == len(rows):
                return _propose_rung(best_of(rows[begin:end], count), self.eta, below)
            begin, end, count = end, end + count, max(1, count // self.eta)
        return ()


class Rung(NamedTuple):
    """One rung of a bracket."""

    begin: int
    """the index of its first candidate among the rows."""
    size: int
    whole: int
    """the same where the samples were without end."""
    before: int
    """how many candidates the rung before it has; 0 on the first rung of a bracket."""
    below: int
    """how many rungs it is under the top."""


@dataclass
class BOHB(SpaceAlgorithm):
    """Hyperband whose candidates are drawn where good ones were dense (Falkner et al., 2018).

    Brackets of successive halving, one after the other, each rung one batch. With three rungs and ``eta`` 3, as on
    NAS-Bench-201 (1 to 12 epochs): 9 candidates train for 1/9 of the epochs, the best 3 of them for 1/3, the best of
    these for all; then 3 for 1/3 and the best for all; then 3 for all; and again. ``samples`` are whole trainings'
    worth of epochs: the sum of the fidelities. New candidates of a bracket are drawn from a model of the longest
    trainings of which there are enough (:class:`Density`), one in three at random. Those of a rung are drawn from one
    model, so that they can be trained side by side.

    Each trial is trained from the start. What was proposed before is passed over where the model draws anything else,
    and counts once in the model; an architecture that is proposed again counts again. The paper's software does
    neither (``repeats``): with few decisions the model soon proposes one architecture again and again, and finds less
    than random search does. The bandwidth factor of the paper is for continuous parameters; there are none here.
    """

    eta: int = 3
    """of how many one goes on to the next rung, where trainings are as many times as long."""
    rungs: int = 3
    """how many there are; 1 is a search with whole trainings alone."""
    random_fraction: float = 1 / 3
    """of candidates that are drawn at random."""
    min_bandwidth: float = 0.3
    """of the kernels; 0.3 as on NAS-Bench-201, 0.001 in the paper's software."""
    candidates: int = 64
    """how many are drawn from the density of the good ones; the best by the ratio is proposed."""
    repeats: bool = False
    """leave what was proposed before among the candidates, and in the model as often as it was."""

    def __post_init__(self) -> None:
        expect_counts("bohb", rungs=self.rungs, candidates=self.candidates)
        expect_counts("bohb", least=2, eta=self.eta)
        if not (0 <= self.random_fraction <= 1 and 0 < self.min_bandwidth <= 1):
            wanted = "random_fraction from 0 to 1, and min_bandwidth above 0, at most 1"
            raise UserError(f"--algorithm bohb: expected {wanted}")
        self._categorical = require_categorical(self.space, "bohb")
        self._sizes = np.array([len(options) for options in self._categorical.choices])
        # To read an architecture takes longer than all else.
        self._decisions = lru_cache(maxsize=None)(self._categorical.decisions)

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[Proposal]:
        """Return the next rung."""
        rung = next((each for each in self.schedule() if each.begin >= len(rows) or each.size < each.whole), None)
        if rung is None or rung.begin != len(rows):
            return ()
        latest = rows[rung.begin - rung.before :]
        found = best_of(latest, rung.size) if rung.before else self._sample_new(rows, rung.size)
        return _propose_rung(found, self.eta, rung.below)

    def schedule(self) -> Iterator[Rung]:
        """Yield the rungs until the samples are used up; the last one may be cut short."""
        # What is left counts in trainings of the lowest rung.
        begin, left = 0, self.samples * self.eta ** (self.rungs - 1)
        while True:
            # A bracket begins so many rungs under the top.
            for first in reversed(range(self.rungs)):
                start = self.rungs // (first + 1) * self.eta**first
                before = 0
                for below in reversed(range(first + 1)):
                    whole = max(1, start // self.eta ** (first - below))
                    cost = self.eta ** (self.rungs - 1 - below)
                    count = min(whole, left // cost)
                    yield Rung(begin, count, whole, before, below)
                    if count < whole:
                        return
                    begin, left, before = begin + count, left - count * cost, count

    def _sample_new(self, rows: Sequence[ScoreRow], count: int) -> list[str]:
        seed = derived_seed(self.seed, "bohb", len(rows))
        rng, generator = random.Random(seed), np.random.default_rng(seed)
        densities = self.fit(rows)
        passed_over = set() if self.repeats else {row.architecture for row in rows}

        def draw() -> str | None:
            if densities is None or rng.random() < self.random_fraction:
                return self.space.sample(rng)
            good, bad = densities
            points = good.draw(self.candidates, generator)
            best_first = points[np.argsort(-(good(points) / bad(points)), kind="stable")].tolist()
            found = [each for point in best_first if (each := architecture_from_decisions(self._categorical, point))]
            best = next((each for each in found if each not in passed_over), found[0] if found else None)
            if best is not None and not self.repeats:
                passed_over.add(best)
            return best

        return sample_within_limits(draw, count, self.limits)

    def fit(self, rows: Sequence[ScoreRow]) -> tuple[Density, Density] | None:
        """Return the densities of good trainings and of the others, on the highest rung of which there are enough."""
        observed: dict[float, list[ScoreRow]] = {}
        for row in rows:
            observed.setdefault(1.0 if row.fidelity is None else row.fidelity, []).append(row)
        # Each of the two has more observations than there are decisions.
        fewest = len(self._sizes) + 1
        for fidelity in sorted(observed, reverse=True):
            best_first = sorted(observed[fidelity], key=score_or_neg_inf, reverse=True)
            if not self.repeats:
                best_first = list({row.architecture: row for row in best_first}.values())
            if len(best_first) >= 2 * fewest:
                decisions = np.array([self._decisions(row.architecture) for row in best_first])
                split = max(fewest, int(_GOOD * len(decisions)))
                parts = decisions[:split], decisions[split:]
                good, bad = (Density(part, self._sizes, self.min_bandwidth) for part in parts)
                return good, bad
        return None


class Density:
    """A kernel density over decisions.

    It is the mean over its observations of a product over decisions of the kernel of Aitchison & Aitken (1976):
    1 - h where the option is the observation's, h / (options - 1) for each other option. The bandwidth h is the normal
    reference rule, 1.06 s n^(-1 / (4 + decisions)). The paper's software takes s of the options' numbers; options have
    no order, so here the variance s^2 is half the chance that two observations differ, as of numbers it is half their
    mean squared difference. A kernel is at most flat.

    Observations are (n, decisions) options; sizes (decisions,) say how many options there are, ``bandwidths`` h.
    """

    def __init__(self, observations: np.ndarray, sizes: np.ndarray, min_bandwidth: float) -> None:
        self.observations, self._sizes = observations, sizes
        count, decisions = observations.shape
        shares = (observations[:, :, None] == np.arange(sizes.max())).mean(0)
        deviation = np.sqrt((1 - (shares**2).sum(1)) / 2)
        flat = (sizes - 1) / sizes
        self.bandwidths = np.clip(_SILVERMAN * deviation * count ** (-1 / (4 + decisions)), min_bandwidth, flat)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the density at (m, decisions) points, (m,)."""
        equal = points[:, None] == self.observations
        other = self.bandwidths / np.maximum(self._sizes - 1, 1)
        return np.where(equal, 1 - self.bandwidths, other).prod(2).mean(1)

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Draw ``count`` points, (count, decisions): an observation, each decision left with probability 1 - h.

        A decision that is not left is drawn from all its options, as the paper's software does.
        """
        points = self.observations[generator.integers(len(self.observations), size=count)]
        kept = generator.random(points.shape) < 1 - self.bandwidths
        return np.where(kept, points, generator.integers(self._sizes, size=points.shape))
