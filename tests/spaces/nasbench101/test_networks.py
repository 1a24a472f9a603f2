"""The networks of NAS-Bench-101: widths, sizes, rectified units, weights."""

import math
import random

import pytest
import torch
from torch import nn

from naswot_lightning import activation_kernel
from spaces import get_space
from spaces.base import count_macs, count_params
from spaces.layers import draw_he_weights
from spaces.nasbench101.graph import assemble, parse_graph
from spaces.nasbench101.network import (
    NASBench101Cell,
    NASBench101Network,
    draw_benchmark_weights,
    vertex_channels,
)
from tests.spaces.nasbench101 import FIRST, INCEPTION

SPACE, NARROW = get_space("nasbench101"), get_space("nasbench101_16")


def sampled(count):
    return [SPACE.sample(random.Random(seed)) for seed in range(count)]


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


def test_weights_have_the_published_spread():
    def expect_std(weight, std):
        assert weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(weight.numel()))

    for initialise in (draw_he_weights, draw_benchmark_weights):
        torch.manual_seed(0)
        network = NASBench101Network(parse_graph("conv3x3~0+output~1"), 64, 100)
        initialise(network)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                k2, c_in, c_out = module.kernel_size[0] ** 2, module.in_channels, module.out_channels
                variance = 2 / (k2 * c_out) if initialise is draw_he_weights else 1 / (k2 * c_in)
                expect_std(module.weight, math.sqrt(variance))
        expect_std(network.classifier.weight, 0.01 if initialise is draw_he_weights else math.sqrt(2 / 356))
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


def test_sizes_are_those_of_the_real_network():
    for architecture, (classes, channels, size) in zip(sampled(3), [(1, 1, 16), (120, 3, 32), (7, 4, 30)], strict=True):
        for space in (NARROW, SPACE):
            with torch.device("meta"):
                network = space.build(architecture, classes, channels).eval()
                measured = count_macs(network, torch.zeros(1, channels, size, size))
            found = space.complexity(architecture, classes, channels, size)
            assert (found.params, found.macs) == (count_params(network), measured)
