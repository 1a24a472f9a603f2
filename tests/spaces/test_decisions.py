import random

import pytest

from spaces import CategoricalSpace, SpaceError, get_space, list_spaces


def test_spaces_of_decisions():
    found = [name for name in list_spaces() if isinstance(get_space(name), CategoricalSpace)]
    assert found == ["nasbench201", "nats_size", "nasbench101", "nasbench101_16"]


@pytest.mark.parametrize(("name", "sizes"), [
    ("nasbench201", [5] * 6), ("nats_size", [8] * 5), ("nasbench101", [2] * 21 + [3] * 5),
])  # fmt: skip
def test_decisions_and_architectures_are_each_others_inverse(name, sizes):
    space, rng = get_space(name), random.Random(0)
    assert [len(options) for options in space.choices] == sizes
    for _ in range(100):
        architecture = space.sample(rng)
        decisions = space.decisions(architecture)
        assert space.from_decisions(decisions) == architecture
        for decision, options in zip(decisions, space.choices, strict=True):
            assert 0 <= decision < len(options)
    with pytest.raises(SpaceError):
        space.decisions("nonsense")


def test_decisions_name_what_is_written():
    space = get_space("nasbench201")
    cell = "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"
    assert space.decisions(cell) == (0, 1, 2, 3, 4, 0)
    assert get_space("nats_size").decisions("8:16:64:32:24") == (0, 1, 7, 3, 2)


def test_a_smaller_cell_has_dead_vertices():
    space = get_space("nasbench101")
    decisions = space.decisions("conv1x1~0+output~0,1")
    assert sum(decisions[:21]) == 3
    assert space.canonical(space.from_decisions(decisions)) == space.canonical("conv1x1~0+output~0,1")
    with pytest.raises(SpaceError, match="not in the space"):
        space.from_decisions([0] * 26)
    with pytest.raises(SpaceError, match="not in the space"):
        space.from_decisions([1] * 26)
