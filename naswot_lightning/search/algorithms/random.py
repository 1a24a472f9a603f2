"""Candidates at random (Algorithm 1)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from naswot_lightning.errors import UserError
from naswot_lightning.search.limits import Limits
from naswot_lightning.storage.score_rows import ScoreRow
from spaces import EnumerableSpace, Space

# A space is called exhausted after this many draws in a row that were all seen before.
_FRUITLESS_DRAWS = 10_000
# Limits are called too strict after this many refusals for each candidate asked for.
_MOST_REFUSED = 1_000


class RandomSampling:
    """Proposes all candidates at once: distinct, drawn by the seed, within the limits."""

    def __init__(self, space: Space, samples: int, seed: int, limits: Limits) -> None:
        self._space, self._samples, self._seed, self._limits = space, samples, seed, limits

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the sample, and after it nothing more."""
        return () if rows else sampled(self._space, self._samples, self._seed, self._limits)


def sampled(space: Space, samples: int, seed: int, limits: Limits | None = None) -> list[str]:
    """Draw distinct architectures (Algorithm 1 with the generator of ``space``), those that ``limits`` admits.

    A longer sample of the same seed begins with the shorter one.

    Raises:
        UserError: the space has fewer.
    """
    if isinstance(space, EnumerableSpace) and samples > len(space):
        raise UserError(f"--samples {samples}: {space.name} has {len(space)} architectures; use --samples all")
    rng = random.Random(seed)
    found: dict[str, bool] = {}
    admitted = fruitless = 0
    while admitted < samples:
        architecture = space.sample(rng)
        fruitless = fruitless + 1 if architecture in found else 0
        if architecture not in found:
            found[architecture] = limits is None or limits.admit(architecture)
            admitted += found[architecture]
        exhausted = isinstance(space, EnumerableSpace) and len(found) == len(space)
        too_strict = limits is not None and limits.refused >= _MOST_REFUSED * samples
        if admitted < samples and (exhausted or too_strict or fruitless == _patience(space)):
            raise UserError(
                f"--samples {samples}: found only {admitted} different architectures"
                f"{'' if limits is None or not limits.refused else ' within the limits'} in {space.name}"
            )
    return [architecture for architecture, within in found.items() if within]


def _patience(space: Space) -> int | None:
    """Return how many draws without anything new mean that there is nothing more; None where the size is known."""
    return None if isinstance(space, EnumerableSpace) else _FRUITLESS_DRAWS
