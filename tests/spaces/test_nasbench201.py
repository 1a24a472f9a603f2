"""NAS-Bench-201 and the widths of NATS-Bench: indices, sizes, canonical forms, mutation."""

import bz2
import itertools
import pickle
import random
from collections import Counter

import pytest
import torch

from naswot_lightning import activation_kernel
from naswot_lightning.spaces import Space, SpaceError, get_space
from naswot_lightning.spaces.base import count_macs, count_params
from naswot_lightning.spaces.nasbench201 import EDGES, OPS, NASBench201Cell, expression, format_cell, parse_cell
from naswot_lightning.spaces.nats_size import CELL, SizeCell, parse_widths

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


WIDTHS = get_space("nats_size")


def test_widths_index_is_the_lexicographic_product():
    assert len(WIDTHS) == 32_768
    anchors = {0: "8:8:8:8:8", 11: "8:8:8:16:32", 12: "8:8:8:16:40", 284: "8:8:40:32:40", 32_767: "64:64:64:64:64"}
    assert {index: WIDTHS[index] for index in anchors} == anchors
    assert {index: WIDTHS.index(name) for index, name in anchors.items()} == {index: index for index in anchors}


def test_widths_malformed_architecture_is_refused_with_its_position():
    messages = {
        "": "expected 5 widths joined by ':', found 1",
        "8:8:12:8:8": r"width 3 \(second cell\): '12', expected one of 8, 16, 24, 32, 40, 48, 56, 64",
        "8:8:8:8:wide": r"width 5 \(third cell\): 'wide'",
        "08:8:8:8:8": r"width 1 \(stem and first cell\): '08'",
        "8:-8:8:8:8": r"width 2 \(first reduction\): '-8'",
    }
    for architecture, message in messages.items():
        for method in ("build", "validate", "canonical", "complexity", "index"):
            with pytest.raises(SpaceError, match=message):
                getattr(WIDTHS, method)(architecture)


def test_widths_published_sizes_on_cifar10():
    published = {
        "8:8:8:8:8": (11_714, 4_481_114),
        "8:8:8:16:32": (49_202, 6_840_650),
        "8:8:40:32:40": (144_834, 21_827_994),
    }
    for architecture, (params, macs) in published.items():
        found = WIDTHS.complexity(architecture)
        assert (found.params, found.macs) == (params, macs)
    assert WIDTHS.complexity("64:64:64:64:64").params == 713_674


def test_widths_sizes_of_the_official_records(shared):
    """Parameters and flops (M) of every data set and training length."""
    folder = shared("nats-bench-samples", "NATS-sss-v1_0-50262-simple")
    with bz2.open(folder / "meta.pickle.pbz2") as file:
        assert list(WIDTHS) == pickle.load(file)["meta_archs"]
    sizes = {"cifar10-valid": (10, 32), "cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)}
    for index in (0, 11, 284):
        with bz2.open(folder / f"{index:06d}.pickle.pbz2") as file:
            record = pickle.load(file)
        for trained in record.values():
            assert trained["arch_str"] == WIDTHS[index]
            for (dataset, _), result in trained["all_results"].items():
                classes, size = sizes[dataset]
                found = WIDTHS.complexity(WIDTHS[index], classes, image_size=size)
                assert found.params == pytest.approx(result["params"] * 1e6, abs=0.5)
                assert found.macs == pytest.approx(result["flop"] * 1e6, abs=0.5)


def test_widths_rectified_units():
    """As published (wrappers counted too); once each, all but the last are halved."""
    for architecture, units in {"8:8:8:8:8": 133_632, "8:8:8:16:32": 147_456, "8:8:40:32:40": 222_720}.items():
        network, images = WIDTHS.build(architecture, num_classes=1), torch.randn(2, 3, 32, 32)
        last = parse_widths(architecture)[-1] * 8 * 8
        assert activation_kernel(network, images, "reference").n_units == units
        assert activation_kernel(network, images).n_units == (units - last) // 2 + last


def test_cell_is_the_named_cell_of_nasbench201():
    """At one width the cell computes what NAS-Bench-201's code makes of :data:`CELL`, weight for weight."""
    ours, theirs = SizeCell(8, 8), NASBench201Cell(parse_cell(CELL), 8)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def test_widths_mutation_is_uniform_over_positions_and_widths():
    rng, start = random.Random(0), "8:8:8:8:8"
    counts = Counter(WIDTHS.mutate(start, rng) for _ in range(7_000))
    assert len(counts) == 35  # five positions, seven other widths
    assert all(130 < count < 280 for count in counts.values())
