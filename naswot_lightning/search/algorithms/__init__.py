"""Search algorithms by the names of ``--algorithm``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from naswot_lightning.errors import UserError
from naswot_lightning.registry import resolve
from spaces.errors import SpaceError
from spaces.options import read_options

if TYPE_CHECKING:
    from naswot_lightning.search.algorithms.base import Algorithm
    from naswot_lightning.search.limits import Limits
    from spaces import Space

# The registry: a name, and where its constructor is.
ALGORITHMS = {
    "random": "naswot_lightning.search.algorithms.random:RandomSampling",
    "rea": "naswot_lightning.search.algorithms.rea:RegularizedEvolution",
    "area": "naswot_lightning.search.algorithms.area:AssistedEvolution",
    "reinforce": "naswot_lightning.search.algorithms.reinforce:Reinforce",
    "bohb": "naswot_lightning.search.algorithms.bohb:BOHB",
    "halving": "naswot_lightning.search.algorithms.halving:SuccessiveHalving",
}


class MakesAlgorithm(Protocol):
    """The constructor of an algorithm."""

    def __call__(self, space: Space, samples: int, seed: int, limits: Limits) -> Algorithm:
        """Return an algorithm that proposes about ``samples`` candidates within the limits."""
        ...


# What the search gives; the other arguments of a constructor are options.
_GIVEN = ("space", "samples", "seed", "limits")


def get_algorithm(name: str) -> MakesAlgorithm:
    """Return the constructor of the algorithm of that name, with its options: ``rea:population=20,children=4``.

    Raises:
        UserError: no such algorithm or option; the message lists those that there are.
    """
    made = resolve("algorithm", name.partition(":")[0], ALGORITHMS)
    try:
        _, options = read_options(name, made, "algorithm", _GIVEN)
    except SpaceError as error:
        raise UserError(str(error)) from None
    constructor: MakesAlgorithm = partial(made, **options) if options else made
    return constructor
