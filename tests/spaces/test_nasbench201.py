import itertools
import random

import pytest
import torch

from spaces import Space, SpaceError, get_space
from spaces.base import count_macs, count_params
from spaces.nasbench201 import EDGES, OPS, NASBench201Cell, expression, format_cell, parse_cell

SPACE = get_space("nasbench201")
EVERY = list(itertools.product(OPS, repeat=6))


def test_order_is_the_official_one():
    assert len(SPACE) == 15_625
    assert SPACE[0] == "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    assert SPACE[9] == "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    assert SPACE[1462] == format_cell(["nor_conv_3x3"] * 6)
    assert SPACE.index(SPACE[123]) == 123


def test_malformed_architecture_is_refused_with_its_position():
    messages = {
        "|none~0|+|none~0|none~1|": "expected 3 nodes joined by '\\+', found 2",
        "|none~0|+|none~0|+|none~0|none~1|none~2|": "node 2: expected 2 edge",
        "none~0|+|none~0|none~1|+|none~0|none~1|none~2|": "node 1: .* must begin and end with '\\|'",
        "|none~0|+|none~1|none~0|+|none~0|none~1|none~2|": "edge 0->2: 'none~1' must read 'operation~0'",
        "|conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|": "edge 0->1: .* did you mean 'nor_conv_3x3'",
    }
    for architecture, message in messages.items():
        with pytest.raises(SpaceError, match=message):
            SPACE.build(architecture)


def test_sizes_follow_the_closed_forms():
    for (n1, n3), (classes, size) in itertools.product([(0, 0), (0, 3), (1, 4)], [(10, 32), (120, 16)]):
        architecture = format_cell(["nor_conv_1x1"] * n1 + ["nor_conv_3x3"] * n3 + ["skip_connect"] * (6 - n1 - n3))
        with torch.device("meta"):
            network = SPACE.build(architecture, classes).eval()
            measured = (count_params(network), count_macs(network, torch.zeros(2, 3, size, size)))
        found = SPACE.complexity(architecture, classes, image_size=size)
        assert (found.params, found.macs) == measured
        assert found.params == 72_656 + 65 * classes + 28_000 * n1 + 243_040 * n3
        expected = (7.7824e6 + 3.93216e6 * n1 + 35.38944e6 * n3) * (size / 32) ** 2 + 65 * classes
        assert found.macs == pytest.approx(expected, abs=1)
    assert found == Space.complexity(SPACE, architecture, classes, image_size=size)


def test_published_parameter_counts():
    expected = {0: 129_306, 11: 802_426, 284: 101_306, 13714: 1_073_466, 6111: 1_073_466, 1462: 1_531_546}
    assert {i: SPACE.complexity(SPACE[i]).params for i in expected} == expected
    assert SPACE.complexity(SPACE[11], 100).macs == 113_957_220


def test_counts_of_classes():
    assert len({expression(cell, keep_zeros=True) for cell in EVERY}) == 6_466
    assert len({SPACE.canonical(format_cell(cell)) for cell in EVERY}) == 5_390
    disconnected = [cell for cell in EVERY if expression(cell) == "#"]
    assert len(disconnected) == 341
    assert {SPACE.canonical(format_cell(cell)) for cell in disconnected} == {format_cell(["none"] * 6)}


def test_dead_branches_do_not_change_the_function():
    """Removing edges that cannot matter leaves the logits as they are, weight for weight."""
    images, compared = torch.randn(2, 3, 16, 16), 0
    for cell in EVERY[7::2000]:
        live = [
            "none" if expression(cell) == expression((*cell[:i], "none", *cell[i + 1 :])) else op
            for i, op in enumerate(cell)
        ]
        if expression(live) != expression(cell):
            continue  # two edges, each dispensable beside the other, are not both dead
        full, pruned = SPACE.build(format_cell(cell)).eval(), SPACE.build(format_cell(live)).eval()
        weights = full.state_dict()
        pruned.load_state_dict({key: weights.get(key, value) for key, value in pruned.state_dict().items()})
        torch.testing.assert_close(full(images), pruned(images))
        compared += 1
    assert compared > 3


def test_mutation_changes_one_edge_and_picks_nodes_uniformly():
    rng, counts, start = random.Random(0), [0] * 6, ("none",) * 6
    for _ in range(6_000):
        changed = [op != "none" for op in parse_cell(SPACE.mutate(format_cell(start), rng))]
        assert sum(changed) == 1
        counts[changed.index(True)] += 1
    shares = [1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9]
    assert [target for _, target in EDGES] == [1, 2, 2, 3, 3, 3]
    assert [count / 6_000 for count in counts] == pytest.approx(shares, abs=0.03)


def test_cell_sums_what_its_string_says_with_and_without_gradients():
    """In place where it may: the input stays as it is, and no node is written to after it was read."""
    for index in random.Random(0).sample(range(15_625), 40):
        module = NASBench201Cell(parse_cell(SPACE[index]), 4).eval()
        x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(index))
        nodes, before = [x.clone()], x.clone()
        with torch.no_grad():
            for node in (1, 2, 3):
                total = torch.zeros_like(x)
                for edge, (source, target) in enumerate(EDGES):
                    if target == node:
                        total = total + module.edges[edge](nodes[source].clone())
                nodes.append(total)
            assert module(x).equal(nodes[3])
        assert module(x).equal(nodes[3])
        assert x.equal(before)
