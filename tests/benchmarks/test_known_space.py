import random
from collections import Counter

import pytest

from naswot_lightning.benchmarks.known_space import space_of
from spaces import CategoricalSpace, EnumerableSpace, SpaceError, get_space
from spaces.nasbench201 import parse_cell
from tests.search.algorithms.tables import SPACE, SmallTable

KNOWN = space_of(SmallTable(SPACE[index] for index in range(0, 15_625, 10)))
KNOWN_SET = set(KNOWN)


def distance(one, other):
    return sum(a != b for a, b in zip(parse_cell(one), parse_cell(other), strict=True))


def test_known_space_lists_and_samples_what_the_table_knows():
    assert isinstance(KNOWN, EnumerableSpace)
    assert list(KNOWN) == [SPACE[index] for index in range(0, 15_625, 10)]
    assert KNOWN.index(SPACE[120]) == 12
    with pytest.raises(SpaceError, match="small table does not list it"):
        KNOWN.index(SPACE[121])
    with pytest.raises(SpaceError, match="has no architectures"):
        space_of(SmallTable([]))
    rng = random.Random(0)
    twenty = space_of(SmallTable(SPACE[index] for index in range(20)))
    counts = Counter(twenty.sample(rng) for _ in range(4_000))
    assert len(counts) == 20
    assert all(130 < count < 270 for count in counts.values())


def test_mutants_are_known_and_near_where_there_are_neighbours():
    rng = random.Random(0)
    distances = Counter()
    for architecture in KNOWN:
        mutant = KNOWN.mutate(architecture, rng)
        assert mutant in KNOWN_SET
        distances[distance(architecture, mutant)] += 1
    assert distances[0] == 0
    assert distances[1] > 500  # of five mutants, one in ten known
    full = space_of(SmallTable(SPACE[index] for index in range(15_000)))
    assert all(distance(full[index], full.mutate(full[index], rng)) == 1 for index in range(500))
    whole = space_of(SmallTable(SPACE))
    assert whole.mutate(SPACE[5], random.Random(3)) == SPACE.mutate(SPACE[5], random.Random(3))
    island = space_of(SmallTable([SPACE[0], SPACE[1], SPACE[2]]))
    assert {island.mutate(SPACE[0], rng) for _ in range(30)} == {SPACE[1], SPACE[2]}


def test_what_is_not_restricted_is_the_spaces_own():
    architecture = SPACE[10]
    assert KNOWN.name == SPACE.name
    assert KNOWN.complexity(architecture) == SPACE.complexity(architecture)
    assert sum(p.numel() for p in KNOWN.build(architecture).parameters()) == SPACE.complexity(architecture).params
    assert isinstance(KNOWN, CategoricalSpace)
    assert KNOWN.choices == SPACE.choices
    assert KNOWN.from_decisions(KNOWN.decisions(architecture)) == architecture
    with pytest.raises(SpaceError, match="small table does not know it"):
        KNOWN.from_decisions(SPACE.decisions(SPACE[11]))
    darts = get_space("nds_darts")
    assert not isinstance(space_of(SmallTable([darts.sample(random.Random(0))]), darts), CategoricalSpace)
