"""NAS-Bench-101: strings, hashes, canonical forms, mutation, sampling, and its networks."""

import itertools
import math
import pickle
import random
from collections import Counter

import pytest
import torch
from torch import nn

from naswot_lightning import activation_kernel
from naswot_lightning.spaces import SpaceError, get_space
from naswot_lightning.spaces.nasbench101.graph import (
    OPS,
    assemble,
    canonical_graph,
    format_graph,
    graph_from_matrix,
    graph_hash,
    live_graph,
    parse_graph,
    prune,
)
from naswot_lightning.spaces.nasbench101.space import (
    CELLS,
    NASBench101Cell,
    NASBench101Network,
    draw_benchmark_weights,
    uniform_cell,
    vertex_channels,
)

INCEPTION = "conv1x1~0+conv3x3~0+conv3x3~0+conv3x3~3+maxpool3x3~0+output~1,2,4,5"  # of the benchmark's README
FIRST = "conv3x3~0+conv1x1~1+conv1x1~0,1,2+conv3x3~1+conv1x1~4+output~3,5"  # of the benchmark's first record


SPACE, NARROW = get_space("nasbench101"), get_space("nasbench101_16")


def test_the_smallest_cell_is_one_edge():
    assert SPACE.canonical("output~0") == "output~0"
    assert SPACE.canonical("conv3x3~0+conv3x3~+output~0") == "output~0"
    # Dead edges do not count against the limit.
    dead = "conv3x3~0+conv3x3~0,1+conv3x3~0,1,2+conv3x3~0,1,2,3+conv3x3~0,1,2,3,4+output~0,1"
    assert SPACE.canonical(dead) == "conv3x3~0+output~0,1"
    assert NARROW.build("output~0", 3)(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_malformed_architecture_is_refused_with_its_position():
    messages = {
        "": "vertex 1: '' must read 'operation~sources'",
        "conv3x3~0+conv1x1~1": "vertex 2: 'conv1x1' at the end, which is that of 'output~sources'",
        "conv3x3-bn-relu~0+output~1": "vertex 1: .* did you mean 'conv3x3'",
        "conv3x3~0+conv1x1~2+output~1": r"vertex 2: source '2' is not an earlier vertex \(0 to 1\)",
        "conv3x3~0+" * 6 + "output~1": "8 vertices with the input, at most 7",
        "conv3x3~0+conv3x3~+output~2": r"no path from the input \(vertex 0\) to the output",
        "conv3x3~0+conv3x3~0,1+conv3x3~0,1,2+conv3x3~0,1,2+output~3,4": "11 edges on paths to the output, at most 9",
    }
    for architecture, message in messages.items():
        for method in ("build", "validate", "canonical", "complexity"):
            with pytest.raises(SpaceError, match=message):
                getattr(SPACE, method)(architecture)


def test_official_hashes_and_parameter_counts(shared):
    """30 entries of the benchmark: key and trainable parameters of each."""
    with shared("nasbench101-30.pkl").open("rb") as file:
        entries = pickle.load(file)
    assert len(entries) == 30
    for key, (fixed, _) in entries.items():
        architecture = format_graph(graph_from_matrix(fixed["module_adjacency"], fixed["module_operations"]))
        for each in (architecture, SPACE.canonical(architecture)):
            assert graph_hash(live_graph(each)) == key
        assert SPACE.complexity(architecture).params == fixed["trainable_parameters"]


def test_all_small_cells_have_one_canonical_form_per_hash():
    """Every graph of 2 to 5 vertices: 1 + 6 + 84 + 2,441 cells in the benchmark, by hash and by canonical form."""
    forms = {}
    for size in (2, 3, 4, 5):
        pairs = list(itertools.combinations(range(size), 2))
        for chosen in itertools.product((0, 1), repeat=len(pairs)):
            edges = set(itertools.compress(pairs, chosen))
            bare = assemble(edges, ["conv3x3"] * (size - 2))
            if len(edges) > 9 or prune(bare) != bare:
                continue
            for ops in itertools.product(OPS, repeat=size - 2):
                graph = assemble(edges, ops)
                forms.setdefault(graph_hash(graph), set()).add(canonical_graph(graph))
    assert len(forms) == sum(CELLS[size] for size in (2, 3, 4, 5)) == 1 + 6 + 84 + 2_441
    assert all(len(found) == 1 for found in forms.values())
    assert len(set.union(*forms.values())) == len(forms)


def test_mutation_rates():
    """One of 21 edges in 7 and one of 5 operations in 5, where no child is refused (few edges, many paths)."""
    rng, start = random.Random(0), parse_graph("conv3x3~+conv3x3~+conv3x3~+conv3x3~+conv3x3~+output~0")
    children = [parse_graph(SPACE.mutate(format_graph(start), rng)) for _ in range(4_000)]
    changed = [sum(vertex.op != "conv3x3" for vertex in child[:-1]) for child in children]
    assert sum(changed) / len(children) == pytest.approx(1, abs=0.05)
    # Edge 1 -> 2 alone leads nowhere: it is rarely part of a refused child.
    assert sum(1 in child[1].sources for child in children) / len(children) == pytest.approx(1 / 7, abs=0.03)


def test_uniform_sampling_gives_every_cell_the_same_share():
    """The 84 cells of 4 vertices: chi-square of 8,400 draws, 83 degrees of freedom, mean 83 and deviation 13."""
    rng = random.Random(0)
    counts = Counter(format_graph(canonical_graph(uniform_cell(4, rng))) for _ in range(8_400))
    assert len(counts) == CELLS[4]
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 83 + 4 * 13


def test_sampling_follows_the_rule_of_the_benchmark_or_the_numbers_of_cells():
    """Edges by a fair coin on 7 vertices, kept where valid; uniform: 85 % of the cells have 7 vertices."""
    draws = [SPACE.sample(random.Random(seed)) for seed in range(400)]
    shares = [sum(op in text for text in draws) / len(draws) for op in OPS]
    assert shares == pytest.approx([1 - (2 / 3) ** 5] * 3, abs=0.06)
    rng = random.Random(0)
    uniform = get_space("nasbench101:uniform=true")
    draws = [uniform.sample(rng) for _ in range(40)]
    assert sum(CELLS.values()) == 423_624
    assert sum(len(live_graph(architecture)) == 6 for architecture in draws) / 40 == pytest.approx(0.85, abs=0.15)


def test_published_parameter_counts():
    assert SPACE.complexity(INCEPTION).params == 2_694_282
    assert SPACE.complexity(FIRST).params == 6_315_018
    assert NARROW.complexity(INCEPTION, num_classes=1).params == 43_665


def test_channels_of_vertices():
    """The benchmark's own tests of the rule."""
    for vertices, edges, expected in (
        (4, {(0, 1), (1, 2), (2, 3)}, [8, 16, 16, 16]),
        (4, {(0, 1), (0, 2), (1, 3), (2, 3)}, [8, 8, 7, 15]),
        (5, {(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)}, [8, 3, 3, 2, 8]),
        (5, {(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)}, [8, 5, 5, 4, 9]),
        (5, {(0, 1), (0, 3), (1, 2), (1, 4), (2, 3), (3, 4)}, [8, 8, 7, 7, 15]),
        (2, {(0, 1)}, [8, 15]),
    ):
        graph = assemble(edges, ["conv3x3"] * (vertices - 2))
        assert vertex_channels(graph, expected[0], expected[-1]) == expected


def test_rectified_units():
    """188,416 with 16 channels, and no ReLU counted twice."""
    network, images = NARROW.build(INCEPTION, num_classes=1), torch.randn(2, 3, 32, 32)
    assert activation_kernel(network, images).n_units == 188_416
    assert activation_kernel(network, images, "reference").n_units == 188_416


def test_cell_computes_the_graph():
    """Sums, cut channels, separate projections, concatenation and the added input, written out."""
    torch.manual_seed(0)
    cell = NASBench101Cell(parse_graph("conv3x3~0+conv1x1~0,1+maxpool3x3~1+output~0,2,3"), 4, 7).eval()
    assert cell.channels == [4, 4, 4, 3, 7]
    x = torch.randn(2, 4, 5, 5)
    project, operate = cell.projections, cell.operations
    one = operate[0](project["1"](x))
    two = operate[1](one + project["2"](x))
    three = nn.functional.max_pool2d(one[:, :3], 3, 1, 1)
    torch.testing.assert_close(cell(x), torch.cat([two, three], 1) + project["4"](x))
    assert set(project) == {"1", "2", "4"}


def test_benchmark_weights_have_the_published_spread():
    torch.manual_seed(0)
    network = NASBench101Network(parse_graph("conv3x3~0+output~1"), 64, 100)
    draw_benchmark_weights(network)
    spreads = {network.classifier.weight: math.sqrt(2 / 356)}
    spreads |= {m.weight: m.weight[0].numel() ** -0.5 for m in network.modules() if isinstance(m, nn.Conv2d)}
    for weight, spread in spreads.items():
        assert weight.std().item() == pytest.approx(spread, rel=5 / math.sqrt(weight.numel()))
    assert not network.classifier.bias.any()


def test_scoring_weights_are_drawn_in_the_order_of_the_published_code():
    """Once by PyTorch's defaults while modules are made, vertex operations before projections; then again."""
    torch.manual_seed(5)
    network = NARROW.build(INCEPTION, num_classes=1)
    drawn = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    torch.manual_seed(5)
    for module in drawn:
        if isinstance(module, nn.Linear):
            nn.Linear(module.in_features, module.out_features)
        else:
            nn.Conv2d(module.in_channels, module.out_channels, module.kernel_size, bias=False)
    for module in drawn:
        fan_out = module.weight[:, 0].numel()
        std = 0.01 if isinstance(module, nn.Linear) else math.sqrt(2 / fan_out)
        assert torch.equal(torch.empty_like(module.weight).normal_(0, std), module.weight)
    # First cell: the operations of vertices 1 to 4, then the projections into vertices 1, 2, 3 and 5.
    assert [module.kernel_size[0] for module in drawn[:9]] == [3, 1, 3, 3, 3, 1, 1, 1, 1]
    assert [module.in_channels for module in drawn[:9]] == [3, 4, 4, 4, 4, 16, 16, 16, 16]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(module.eps, module.momentum) for module in norms} == {(1e-5, 0.003)}
