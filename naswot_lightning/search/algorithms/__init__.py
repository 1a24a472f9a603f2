"""Search algorithms by the names of ``--algorithm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from naswot_lightning.errors import UserError
from naswot_lightning.registry import resolve
from spaces.errors import SpaceError
from spaces.options import read_options

if TYPE_CHECKING:
    from naswot_lightning.search.algorithms.base import Algorithm, Limits
    from spaces import Space

# Import paths, so that --help lists the names without loading numpy and torch.
ALGORITHMS = {
    "random": "naswot_lightning.search.algorithms.random:RandomSampling",
    "rea": "naswot_lightning.search.algorithms.evolution:RegularizedEvolution",
    "area": "naswot_lightning.search.algorithms.evolution:AssistedEvolution",
    "reinforce": "naswot_lightning.search.algorithms.reinforce:Reinforce",
    "bohb": "naswot_lightning.search.algorithms.halving:BOHB",
    "halving": "naswot_lightning.search.algorithms.halving:SuccessiveHalving",
}


class MakesAlgorithm(Protocol):
    """The constructor of an algorithm; arguments beside these are options of ``--algorithm``."""

    def __call__(self, space: Space, samples: int, seed: int, limits: Limits, **options: Any) -> Algorithm:
        """Return an algorithm that proposes about ``samples`` candidates within the limits."""
        ...


def get_algorithm(name: str) -> tuple[MakesAlgorithm, dict[str, Any]]:
    """Return the constructor of the algorithm of that name, and its options: ``rea:population=20,children=4``.

    Raises:
        UserError: no such algorithm or option; the message lists those that there are.
    """
    constructor: MakesAlgorithm = resolve("algorithm", name.partition(":")[0], ALGORITHMS)
    try:
        _, options = read_options(name, constructor, "algorithm", ("space", "samples", "seed", "limits"))
    except SpaceError as error:
        raise UserError(str(error)) from None
    return constructor, options


def make_algorithm(name: str, space: Space, samples: int, seed: int, limits: Limits) -> Algorithm:
    """Return the algorithm of that name, with its options."""
    constructor, options = get_algorithm(name)
    return constructor(space, samples, seed, limits, **options)
