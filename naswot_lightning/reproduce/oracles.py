"""Search algorithms of syne-tune (Salinas et al., 2022) on our tables, to be drawn beside ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from naswot_lightning.errors import UserError
from naswot_lightning.reproduce.searches import Effort, Ground, Lookups
from naswot_lightning.search.algorithms.candidates import merit
from naswot_lightning.search.algorithms.decisions import architecture_of
from naswot_lightning.search.simulation import History, simulate
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.score_rows import ScoreRow
from spaces import CategoricalSpace

_MOST_DRAWS = 1_000  # of one proposal, where a table knows a part of the space
_SEEDS = 2**32  # that numpy's older generators take


@dataclass(frozen=True)
class Oracle:
    """An algorithm of another library.

    Attributes:
        label: what it is called in tables and pictures.
        beside: which of ours it is the same as, or nearest to.
        searcher: returns one for the options of each decision, by its name, and a seed.
    """

    label: str
    beside: str
    searcher: Callable[[Mapping[str, Sequence[str]], int], Any]


def _evolution(options: Mapping[str, Sequence[str]], seed: int) -> Any:
    from syne_tune.optimizer.schedulers.searchers.regularized_evolution import RegularizedEvolution

    return RegularizedEvolution(_space(options), population_size=10, sample_size=3, random_seed=seed)


def _densities(options: Mapping[str, Sequence[str]], seed: int) -> Any:
    from syne_tune.optimizer.schedulers.searchers.kde import KernelDensityEstimator

    return KernelDensityEstimator(_space(options), random_seed=seed)


def _space(options: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    from syne_tune.config_space import choice

    return {name: choice(list(each)) for name, each in options.items()}


# Evolution with the sizes that ours has by default. BOHB's densities as they come: syne-tune has them on rungs of
# asynchronous halving alone, which no search of whole trainings is.
ORACLES = (
    Oracle("syne-tune evolution", "rea", _evolution),
    Oracle("syne-tune densities (BOHB)", "bohb", _densities),
)


def expect_oracles(ground: Ground) -> None:
    """Raise :class:`UserError` where syne-tune is not installed, or cannot search the space."""
    if not isinstance(ground.space, CategoricalSpace):
        raise UserError(
            f"--oracles: architectures of {ground.space.name} are no fixed number of decisions, which syne-tune needs; "
            "leave it out"
        )
    try:
        from syne_tune.optimizer.schedulers.searchers import kde

        _ = kde.KernelDensityEstimator  # it is missing where a part of the package is
    except (ImportError, AttributeError) as error:
        raise UserError(f"--oracles: {error}; pip install 'naswot-lightning[oracles]'") from None


def run_oracle(ground: Ground, oracle: Oracle, effort: Effort, seeds: int, seed: int) -> list[History]:
    """Return what an oracle evaluates, one history a seed, the seeds of our searches.

    Args:
        ground: what it searches.
        oracle: which.
        effort: when it ends.
        seeds: how many.
        seed: of the command.
    """
    evaluate = Lookups(ground, None)
    made = [_Searches(ground, oracle, effort.evaluations, derived_seed(seed, "search", n)) for n in range(seeds)]
    return [simulate(each, evaluate, effort.seconds) for each in made]


class _Searches:
    """An oracle as one of our algorithms: it proposes one architecture at a time, and is told of each.

    What it proposes and the table does not know is drawn again, without a word to it; a search in which nothing else
    is drawn ends.

    Args:
        ground: what it searches.
        oracle: which.
        samples: how many are evaluated.
        seed: of the search.
    """

    def __init__(self, ground: Ground, oracle: Oracle, samples: int, seed: int) -> None:
        assert isinstance(ground.space, CategoricalSpace)
        self._space, self._samples = ground.space, samples
        self._options = {f"decision {number}": list(each) for number, each in enumerate(self._space.choices)}
        self._numpys = np.random.RandomState(seed % _SEEDS).get_state()
        self._searcher = oracle.searcher(self._options, seed % _SEEDS)
        self._proposed: list[Mapping[str, str]] = []
        self._told = 0

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the next architecture; nothing when the search has ended."""
        for number in range(self._told, len(rows)):  # it minimises
            self._searcher.on_trial_complete(number, self._proposed[number], -merit(rows[number]))
        self._told = len(rows)
        if self._told >= self._samples:
            return ()
        with self._own_generator(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its libraries: a density of one option, functions to be renamed
            return self._draw()

    def _draw(self) -> Sequence[str]:
        for _ in range(_MOST_DRAWS):
            configuration = self._searcher.suggest()
            decisions = [each.index(configuration[name]) for name, each in self._options.items()]
            if (architecture := architecture_of(self._space, decisions)) is not None:
                self._proposed.append(configuration)
                return (architecture,)
        return ()

    @contextmanager
    def _own_generator(self) -> Iterator[None]:
        """Let it draw from a state of numpy's global generator that is its own: its first population comes from it."""
        before = np.random.get_state()
        np.random.set_state(self._numpys)
        try:
            yield
        finally:
            self._numpys = np.random.get_state()
            np.random.set_state(before)
