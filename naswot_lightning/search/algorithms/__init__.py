"""Search algorithms by the names of ``--algorithm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from naswot_lightning.registry import resolve

if TYPE_CHECKING:
    from naswot_lightning.search.algorithms.base import Algorithm
    from naswot_lightning.search.limits import Limits
    from spaces import Space

# The registry: a name, and where its constructor is.
ALGORITHMS = {
    "random": "naswot_lightning.search.algorithms.random:RandomSampling",
}


class MakesAlgorithm(Protocol):
    """The constructor of an algorithm."""

    def __call__(self, space: Space, samples: int, seed: int, limits: Limits) -> Algorithm:
        """Return an algorithm that proposes about ``samples`` candidates within the limits."""
        ...


def get_algorithm(name: str) -> MakesAlgorithm:
    """Return the constructor of the algorithm of that name.

    Raises:
        UserError: no such algorithm; the message lists the names.
    """
    made: MakesAlgorithm = resolve("algorithm", name, ALGORITHMS)
    return made
