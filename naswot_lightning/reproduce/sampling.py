"""Random samples of a table and what a score picks of each: all runs at once."""

from __future__ import annotations

import numpy as np

from naswot_lightning.seeds import derived_seed


def candidates(total: int, samples: int, seed: int) -> np.ndarray:
    """Return the places of different architectures of a table; a longer sample begins with the shorter one."""
    return np.random.default_rng(derived_seed(seed, "candidates")).permutation(total)[:samples]


def draws(total: int, samples: int, runs: int, seed: int) -> np.ndarray:
    """Return (runs, samples) places, each drawn anew: with replacement, as the published script draws them.

    >>> draws(3, samples=5, runs=2, seed=0).shape
    (2, 5)
    """
    return np.random.default_rng(derived_seed(seed, "runs", samples)).integers(0, total, (runs, samples))


def picks(merits: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the best place of each run, the first of equal ones (Algorithm 1); NaN is worse than any number.

    Args:
        merits: (n,) higher is better.
        drawn: (runs, samples) of :func:`draws`.

    >>> picks(np.array([1.0, np.nan, 3.0]), np.array([[0, 1], [1, 2], [1, 1]]))
    array([0, 2, 1])
    """
    values = np.where(np.isnan(merits), -np.inf, merits)[drawn]
    best: np.ndarray = drawn[np.arange(len(drawn)), values.argmax(1)]
    return best
