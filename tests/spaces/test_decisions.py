import random

import pytest

from spaces import CategoricalSpace, SpaceError, get_space, list_spaces

SIZES = {
    "nasbench201": [5] * 6,
    "nats_size": [8] * 5,
    **dict.fromkeys(("nasbench101", "nasbench101_16"), [2] * 21 + [3] * 5),
}


def test_decisions_and_architectures_are_each_others_inverse():
    assert [name for name in list_spaces() if isinstance(get_space(name), CategoricalSpace)] == list(SIZES)
    for name, sizes in SIZES.items():
        space, rng = get_space(name), random.Random(0)
        assert [len(options) for options in space.choices] == sizes
        for _ in range(50):
            architecture = space.sample(rng)
            decisions = space.decisions(architecture)
            assert space.from_decisions(decisions) == architecture
            assert all(0 <= decision < size for decision, size in zip(decisions, sizes, strict=True))
        with pytest.raises(SpaceError):
            space.decisions("nonsense")


def test_decisions_name_what_is_written():
    cell = "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"
    assert get_space("nasbench201").decisions(cell) == (0, 1, 2, 3, 4, 0)
    assert get_space("nats_size").decisions("8:16:64:32:24") == (0, 1, 7, 3, 2)


def test_smaller_cell_has_dead_vertices():
    space = get_space("nasbench101")
    decisions = space.decisions("conv1x1~0+output~0,1")
    assert sum(decisions[:21]) == 3
    assert space.canonical(space.from_decisions(decisions)) == space.canonical("conv1x1~0+output~0,1")
    for every in (0, 1):
        with pytest.raises(SpaceError, match="not in the space"):
            space.from_decisions([every] * 26)
