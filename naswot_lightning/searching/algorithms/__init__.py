"""Search algorithms by the names of ``--algorithm``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import UserError
from naswot_lightning.registry import resolve
from naswot_lightning.spaces.errors import SpaceError
from naswot_lightning.spaces.options import read_options

if TYPE_CHECKING:
    from naswot_lightning.searching.algorithms.base import Algorithm, Limits
    from naswot_lightning.spaces import Space

# Import paths, so that --help lists the names without loading numpy and torch.
ALGORITHMS = {
    "random": "naswot_lightning.searching.algorithms.random:RandomSampling",
    "rea": "naswot_lightning.searching.algorithms.evolution:RegularizedEvolution",
    "area": "naswot_lightning.searching.algorithms.evolution:AssistedEvolution",
    "reinforce": "naswot_lightning.searching.algorithms.reinforce:Reinforce",
    "bohb": "naswot_lightning.searching.algorithms.halving:BOHB",
    "halving": "naswot_lightning.searching.algorithms.halving:SuccessiveHalving",
}


# What every algorithm is made of (SpaceAlgorithm); further arguments of its constructor are options of --algorithm.
_GIVEN = ("space", "samples", "seed", "limits")


def get_algorithm(name: str) -> tuple[Callable[..., Algorithm], dict[str, Any]]:
    """Return the constructor of the algorithm of that name, and its options: ``rea:population=20,children=4``.

    It may be the user's own (:func:`~naswot_lightning.registry.resolve`).
    """
    constructor = resolve("algorithm", name.partition(":")[0], ALGORITHMS)
    try:
        _, options = read_options(name, constructor, "algorithm", _GIVEN)
    except SpaceError as error:
        raise UserError(str(error)) from None
    return constructor, options


def make_algorithm(name: str, space: Space, samples: int, seed: int, limits: Limits) -> Algorithm:
    """Return the algorithm of that name, with its options."""
    constructor, options = get_algorithm(name)
    return constructor(space, samples, seed, limits, **options)
