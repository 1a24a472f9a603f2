"""Densities of good and of bad architectures over their decisions (Bergstra et al., 2011; Falkner et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_GOOD = 0.15  # of the observations, the share that is called good
_SILVERMAN = 1.06


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
