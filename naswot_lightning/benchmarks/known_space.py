"""The architectures that a benchmark knows, as if they were the space."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property

from torch import nn

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.benchmarks.table import Table
from naswot_lightning.errors import UserError
from naswot_lightning.spaces import get_space, is_import_path
from naswot_lightning.spaces.base import CategoricalSpace, EnumerableSpace, Space
from naswot_lightning.spaces.errors import SpaceError, quoted

# Mutations of one parent before a walk begins. Where few neighbours are known, to insist on them leaves evolution on an
# island: with a tenth of NAS-Bench-201, 200 evaluations end at 82.7 % after 100 mutations, at 84.2 % after 5, at 83.9 %
# by random search (accuracy on the validation set after 12 epochs, 40 seeds).
_MUTATIONS = 5
# A random walk has forgotten where it began after so many steps.
_STEPS = 300


class KnownSpace(EnumerableSpace):
    """A space without the architectures that a benchmark does not know: all algorithms work on it unchanged.

    The space is by default that which the benchmark names. Its name stays, for seeds and files, and what is not
    restricted is its own.
    """

    def __init__(self, benchmark: Table, space: Space | None = None) -> None:
        space = get_space(benchmark.space) if space is None else space
        if not len(benchmark.architectures):
            raise SpaceError(f"{benchmark.name} has no architectures")
        self.name, self._space, self._benchmark = space.name, space, benchmark
        # What is not restricted, methods among it, takes the place of the class's own defaults.
        own = (
            "skeleton", "made_for", "source", "evidence", "has_training_parts", "builds_on_meta", "channels_last",
            "canonical", "read", "validate", "graph", "complexity", "with_training_parts",
        )  # fmt: skip
        vars(self).update({attribute: getattr(space, attribute) for attribute in own})
        self._architectures: Sequence[str] = benchmark.architectures
        if isinstance(space, CategoricalSpace):
            # Its choices are all of the space's.
            self.choices, self.decisions, self._from_decisions = space.choices, space.decisions, space.from_decisions
            self.from_decisions = self._known_from_decisions

    def sample(self, rng: random.Random) -> str:
        """Draw one of the known architectures, all equally likely."""
        return self._architectures[rng.randrange(len(self._architectures))]

    def mutate(self, architecture: str, rng: random.Random) -> str:
        """Return a known mutant; where no mutant is met that is known, one that is further off.

        After a few mutations of the parent that are not known, a random walk of mutations goes on until it meets a
        known architecture; a walk that meets none ends at any of them, all equally likely.
        """
        mutant = architecture
        for step in range(_MUTATIONS + _STEPS):
            mutant = self._space.mutate(architecture if step <= _MUTATIONS else mutant, rng)
            if mutant != architecture and mutant in self._benchmark:
                return mutant
        # An island: nothing known was met on the walk.
        others = [other for other in self._architectures if other != architecture]
        if not others:
            raise SpaceError(f"{self._benchmark.name} has no architecture other than {quoted(architecture)}")
        return rng.choice(others)

    def build(self, architecture: str, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
        """Return the network of the space."""
        return self._space.build(architecture, num_classes, in_channels)

    def __len__(self) -> int:
        return len(self._architectures)

    def __getitem__(self, index: int) -> str:
        return self._architectures[index]

    def index(self, architecture: str) -> int:
        """Return the position in the table's order; what it does not list so is a SpaceError."""
        if architecture not in self._positions:
            raise SpaceError(f"architecture {quoted(architecture)}: not listed in {self._benchmark.name}")
        return self._positions[architecture]

    def _known_from_decisions(self, decisions: Sequence[int]) -> str:
        """Return the architecture; one that the space or the table does not know is a SpaceError."""
        architecture = self._from_decisions(decisions)
        if architecture not in self._benchmark:
            raise SpaceError(f"architecture {quoted(architecture)}: not in {self._benchmark.name}")
        return architecture

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {each: position for position, each in enumerate(self._architectures)}


def open_for(space: Space, path: str, option: str) -> Table:
    """Return the table that an option names; a CSV that does not tell its space is taken as of the search's.

    A variant of a space (``nasbench101_16``) takes its table, and a space of the user's own any that lists its
    architectures. A table of another space is a UserError.
    """
    try:
        table = open_benchmark(path)
    except UserError:
        table = open_benchmark(path, space.name)
    of_table = get_space(table.space).name.partition(":")[0]
    if not space.name.startswith(of_table) and not (is_import_path(space.name) and _lists_some_of(table, space)):
        raise UserError(f"{option} {path}: the table is for {table.space}, not for --space {space.name}")
    return table


def _lists_some_of(table: Table, space: Space) -> bool:
    try:
        space.validate(table.architectures[0])
    except (SpaceError, IndexError):
        return False
    return True
