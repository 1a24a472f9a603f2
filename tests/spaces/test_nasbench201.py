import itertools
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import Space, SpaceError, get_space
from spaces.base import count_macs, count_params
from spaces.nasbench201 import EDGES, OPS, NASBench201Cell, expression, format_cell, parse_cell

SPACE = get_space("nasbench201")
cells = st.tuples(*[st.sampled_from(OPS)] * 6)


def test_official_order_by_known_anchors():
    assert len(SPACE) == 15_625
    assert SPACE[0] == "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    assert SPACE[9] == "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    assert SPACE[1462] == format_cell(["nor_conv_3x3"] * 6)
    assert SPACE.index(SPACE[123]) == 123
    assert next(iter(SPACE)) == SPACE[0]


def test_official_order_is_that_of_the_benchmark_file(shared):
    """The whole list, as the benchmark's own API reads it from its own file."""
    from nas_201_api import NASBench201API

    content = torch.load(shared("NAS-Bench-201-mini.pth"), map_location="cpu", weights_only=True)
    api = NASBench201API(content, verbose=False)
    assert list(SPACE) == [api[index] for index in range(len(api))]
    assert api.query_index_by_arch(SPACE[6111]) == 6111


def test_random_state_is_not_touched_by_enumerating():
    random.seed(5)
    state = random.getstate()
    type(SPACE)()[3]
    assert random.getstate() == state


@given(cells)
def test_strings_round_trip(cell):
    assert parse_cell(format_cell(cell)) == cell
    assert SPACE[SPACE.index(format_cell(cell))] == format_cell(cell)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("", "expected 3 nodes"),
        ("|none~0|+|none~0|none~1|", "expected 3 nodes joined by '\\+', found 2"),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", "node 2: expected 2 edge"),
        ("none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "node 1: .* must begin and end with '\\|'"),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "edge 0->2: 'none~1' must read 'operation~0'"),
        ("|conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|", "edge 0->1: .* did you mean 'nor_conv_3x3'"),
        (
            "|none~0|+|none~0|none~1|+|none~0|none~1|zzz~2|",
            "edge 2->3: unknown operation 'zzz', expected one of none",
        ),
    ],
)
def test_malformed_architectures_are_refused_with_their_place(architecture, message):
    with pytest.raises(SpaceError, match=message):
        SPACE.build(architecture)


def test_unknown_space_names_the_nearest():
    with pytest.raises(SpaceError, match="did you mean 'nasbench201'"):
        get_space("nasbench-201")


@pytest.mark.parametrize("n1_n3", [(0, 0), (2, 0), (0, 3), (1, 4), (0, 6)])
@pytest.mark.parametrize(("classes", "size"), [(10, 32), (120, 16)])
def test_parameters_and_macs_follow_the_closed_forms(n1_n3, classes, size):
    n1, n3 = n1_n3
    architecture = format_cell(["nor_conv_1x1"] * n1 + ["nor_conv_3x3"] * n3 + ["skip_connect"] * (6 - n1 - n3))
    network = SPACE.build(architecture, classes).eval()
    measured = (count_params(network), count_macs(network, torch.zeros(2, 3, size, size)))
    found = SPACE.complexity(architecture, classes, image_size=size)
    assert (found.params, found.macs) == measured
    assert found.params == 72_656 + 65 * classes + 28_000 * n1 + 243_040 * n3
    scale = (size / 32) ** 2
    expected = (7.7824e6 + 3.93216e6 * n1 + 35.38944e6 * n3) * scale + 65 * classes
    assert found.macs == pytest.approx(expected, abs=1)
    assert found == Space.complexity(SPACE, architecture, classes, image_size=size)


def test_published_parameter_counts():
    """Indices 0, 11, 284, 13714 and 1462."""
    expected = {0: 129_306, 11: 802_426, 284: 101_306, 13714: 1_073_466, 6111: 1_073_466, 1462: 1_531_546}
    assert {i: SPACE.complexity(SPACE[i]).params for i in expected} == expected
    assert SPACE.complexity(SPACE[11], 100).macs == 113_957_220


def test_counts_of_classes():
    everything = list(itertools.product(OPS, repeat=6))
    assert len({expression(cell, keep_zeros=True) for cell in everything}) == 6_466
    assert len({SPACE.canonical(format_cell(cell)) for cell in everything}) == 5_390
    disconnected = [cell for cell in everything if expression(cell) == "#"]
    assert len(disconnected) == 341
    assert {SPACE.canonical(format_cell(cell)) for cell in disconnected} == {format_cell(["none"] * 6)}


@given(cells)
def test_canonical_is_a_fixed_point_without_dead_edges(cell):
    canonical = parse_cell(SPACE.canonical(format_cell(cell)))
    assert SPACE.canonical(format_cell(canonical)) == format_cell(canonical)
    assert expression(canonical) == expression(cell)
    for position, op in enumerate(canonical):
        if op != "none":
            without = (*canonical[:position], "none", *canonical[position + 1 :])
            assert expression(without) != expression(cell)


def _copy_by_edge(source, target):
    """Give ``target`` the weights of ``source`` wherever both have the same operation on an edge."""
    weights = source.state_dict()
    target.load_state_dict({k: weights.get(k, v) for k, v in target.state_dict().items()})


@settings(max_examples=12, deadline=None)
@given(cells)
def test_dead_branches_do_not_change_the_function(cell):
    """Removing edges that cannot matter leaves the logits as they are, weight for weight."""
    live = [
        "none" if expression(cell) == expression((*cell[:i], "none", *cell[i + 1 :])) else op
        for i, op in enumerate(cell)
    ]
    if expression(live) != expression(cell):
        return  # two edges, each dispensable beside the other, are not both dead
    torch.manual_seed(0)
    full, pruned = SPACE.build(format_cell(cell)).eval(), SPACE.build(format_cell(live)).eval()
    _copy_by_edge(full, pruned)
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(full(images), pruned(images))


@given(cells, st.integers(0, 2**32))
def test_mutation_changes_one_edge(cell, seed):
    mutated = parse_cell(SPACE.mutate(format_cell(cell), random.Random(seed)))
    assert sum(a != b for a, b in zip(cell, mutated, strict=True)) == 1


def test_mutation_picks_nodes_uniformly():
    rng, counts = random.Random(0), [0] * 6
    start = ("none",) * 6
    for _ in range(6_000):
        counts[[a != "none" for a in parse_cell(SPACE.mutate(format_cell(start), rng))].index(True)] += 1
    shares = [1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9]
    assert [target for _, target in EDGES] == [1, 2, 2, 3, 3, 3]
    assert [count / 6_000 for count in counts] == pytest.approx(shares, abs=0.03)


def test_sampling_is_uniform_and_reproducible():
    draws = [SPACE.sample(random.Random(seed)) for seed in range(300)]
    assert draws == [SPACE.sample(random.Random(seed)) for seed in range(300)]
    assert len(set(draws)) > 280


@pytest.mark.parametrize("classes", [1, 100])
def test_networks_return_logits_and_train(classes):
    network = SPACE.build(SPACE[11], classes)
    logits = network(torch.randn(4, 3, 16, 16))
    assert logits.shape == (4, classes)
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("index", random.Random(0).sample(range(15_625), 40))
def test_a_cell_sums_what_its_string_says_with_and_without_gradients(index):
    """In place where it may: the input stays as it is, and no node is written to after it was read."""
    cell = parse_cell(SPACE[index])
    module = NASBench201Cell(cell, 4).eval()
    x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(index))
    nodes = [x.clone()]
    with torch.no_grad():
        for node in (1, 2, 3):
            terms = [module.edges[e](nodes[s].clone()) for e, (s, t) in enumerate(EDGES) if t == node]
            total = torch.zeros_like(x)
            for term in terms:
                total = total + term
            nodes.append(total)
        before = x.clone()
        assert module(x).equal(nodes[3])
    assert module(x).equal(nodes[3])
    assert x.equal(before)
