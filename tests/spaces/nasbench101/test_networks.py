"""The networks of NAS-Bench-101: widths, sizes, rectified units, weights, training."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from naswot_lightning import activation_kernel
from spaces import SpaceError, get_space
from spaces.base import count_macs, count_params
from spaces.nasbench101.graph import assemble, format_graph, live_graph, parse_graph
from spaces.nasbench101.network import (
    NASBench101Cell,
    NASBench101Network,
    draw_benchmark_weights,
    draw_scoring_weights,
    vertex_channels,
)
from spaces.nasbench101.space import NASBench101
from tests.spaces.training import assert_scores_and_trains

SPACE, NARROW = get_space("nasbench101"), get_space("nasbench101_16")
INCEPTION = "conv1x1~0+conv3x3~0+conv3x3~0+conv3x3~3+maxpool3x3~0+output~1,2,4,5"  # of the benchmark's README
FIRST = "conv3x3~0+conv1x1~1+conv1x1~0,1,2+conv3x3~1+conv1x1~4+output~3,5"  # of the benchmark's first record
architectures = st.integers(0, 2**32).map(lambda seed: SPACE.sample(random.Random(seed)))


def test_published_parameter_counts():
    assert SPACE.complexity(INCEPTION).params == 2_694_282
    assert SPACE.complexity(FIRST).params == 6_315_018
    assert NARROW.complexity(INCEPTION, num_classes=1).params == 43_665
    assert NASBench101(stem_channels=16).complexity(INCEPTION, num_classes=1).params == 43_665
    with pytest.raises(SpaceError, match="stem_channels 4: expected at least 5"):
        NASBench101(stem_channels=4)


@pytest.mark.parametrize(
    ("vertices", "c_in", "expected"),
    [
        (4, {(0, 1), (1, 2), (2, 3)}, (8, 16, 16, 16)),
        (4, {(0, 1), (0, 2), (1, 3), (2, 3)}, (8, 8, 7, 15)),
        (5, {(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)}, (8, 3, 3, 2, 8)),
        (5, {(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)}, (8, 5, 5, 4, 9)),
        (5, {(0, 1), (0, 3), (1, 2), (1, 4), (2, 3), (3, 4)}, (8, 8, 7, 7, 15)),
        (2, {(0, 1)}, (8, 15)),
    ],
)
def test_channels_of_vertices(vertices, c_in, expected):
    """The benchmark's own tests of the rule."""
    graph = assemble(c_in, ["conv3x3"] * (vertices - 2))
    assert vertex_channels(graph, expected[0], expected[-1]) == list(expected)


def test_rectified_units():
    """188,416 with 16 channels, and no rectifier counted twice."""
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


@settings(max_examples=10, deadline=None)
@given(architectures)
def test_dead_vertices_do_not_change_the_network(architecture):
    images, logits = torch.randn(2, 3, 8, 8), []
    for text in (architecture, format_graph(live_graph(architecture))):
        torch.manual_seed(0)
        logits.append(NARROW.build(text).eval()(images))
    assert torch.equal(*logits)


def _expect_std(weight, std):
    assert weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(weight.numel()))


@pytest.mark.parametrize("initialise", [draw_scoring_weights, draw_benchmark_weights])
def test_weights(initialise):
    torch.manual_seed(0)
    network = NASBench101Network(parse_graph("conv3x3~0+output~1"), 64, 100)
    initialise(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            k2, c_in, c_out = module.kernel_size[0] ** 2, module.in_channels, module.out_channels
            variance = 2 / (k2 * c_out) if initialise is draw_scoring_weights else 1 / (k2 * c_in)
            _expect_std(module.weight, math.sqrt(variance))
    _expect_std(network.classifier.weight, 0.01 if initialise is draw_scoring_weights else math.sqrt(2 / 356))
    assert not network.classifier.bias.any()


def test_scoring_weights_are_drawn_in_the_order_of_the_published_code():
    """Once by PyTorch's defaults while modules are made, vertex operations before projections; then again."""
    torch.manual_seed(5)
    network = NARROW.build(INCEPTION, num_classes=1)
    drawn = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    torch.manual_seed(5)
    for module in drawn:
        module.__class__(*_arguments(module))
    for module in drawn:
        fan_out = module.weight[:, 0].numel()
        std = 0.01 if isinstance(module, nn.Linear) else math.sqrt(2 / fan_out)
        assert torch.equal(torch.empty_like(module.weight).normal_(0, std), module.weight)
    # First cell: the operations of vertices 1 to 4, then the projections into vertices 1, 2, 3 and 5.
    assert [module.kernel_size[0] for module in drawn[:9]] == [3, 1, 3, 3, 3, 1, 1, 1, 1]
    assert [module.in_channels for module in drawn[:9]] == [3, 4, 4, 4, 4, 16, 16, 16, 16]


def _arguments(module):
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    return module.in_channels, module.out_channels, module.kernel_size, 1, 0, 1, 1, False


def test_batch_norm_as_in_the_benchmark():
    norms = [m for m in NARROW.build(INCEPTION).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-5, 0.003)}


@settings(max_examples=10, deadline=None)
@given(architectures)
def test_every_cell_builds_at_full_width(architecture):
    with torch.device("meta"):
        network = SPACE.build(architecture)
        assert network(torch.empty(2, 3, 32, 32)).shape == (2, 10)
    assert count_params(network) == SPACE.complexity(architecture).params


@settings(max_examples=10, deadline=None)
@given(architectures, st.sampled_from([(1, 1, 16), (120, 3, 32), (7, 4, 30)]))
def test_sizes_are_those_of_the_real_network(architecture, setting):
    classes, channels, size = setting
    network = NARROW.build(architecture, classes, channels).eval()
    found = NARROW.complexity(architecture, classes, channels, size)
    measured = count_macs(network, torch.zeros(1, channels, size, size))
    assert (found.params, found.macs) == (count_params(network), measured)


@settings(max_examples=6, deadline=None)
@given(architectures, st.integers(0, 2**32))
def test_networks_score_and_train(architecture, seed):
    torch.manual_seed(0)
    assert_scores_and_trains(NARROW.build(SPACE.mutate(architecture, random.Random(seed)), 4))
