"""Size as a score: counts by closed form, by hand and by modules' hooks."""

import math
import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18

from naswot_lightning.score import activation_kernel
from spaces import get_space
from tests.scores.networks import SPACE, branches, probe_of, score

INCEPTION = "conv1x1~0+conv3x3~0+conv3x3~0+conv3x3~3+maxpool3x3~0+output~1,2,4,5"


class Calls(nn.Module):
    """Whatever a function does with images and convolutions of 3 to 3 channels."""

    def __init__(self, run):
        super().__init__()
        self.run = run
        self.small, self.large = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.run(self, x)


def wide_and_deep(network, probe=None):
    return score("log_width", network, probe), score("conv_depth", network, probe)


def test_a_chain_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.Conv2d(16, 4, 5),
        nn.Conv2d(4, 1, (1, 2)), nn.Flatten(), nn.Linear(2, 4),
    )  # fmt: skip
    assert wide_and_deep(network) == pytest.approx((math.log(8 * 16 * 4), 3))


def test_branches_by_hand():
    """The stem, then the 3x3 branch beside a 1x1 one."""
    assert wide_and_deep(branches()) == pytest.approx((3 * math.log(6), 2))


@pytest.mark.parametrize(
    ("run", "convolutions", "depth"),
    [
        (lambda m, x: m.large(m.large(x)) + m.small(x), 3, 2),  # a module that is called twice is two
        (
            lambda m, x: F.relu(m.large(x), inplace=True).add_(
                m.large(F.conv2d(x, m.large.weight, padding=1))[..., :1]
            ),
            3,
            2,
        ),
        (lambda m, x: torch.cat([m.large(m.large(x)).detach(), m.small(x)]), 3, 0),
        (lambda m, x: (m.small(x), m.large(x))[0], 2, 0),  # a branch that the output does not need
        (lambda m, x: (m.small(x), m.large(x)), 2, 1),  # of two outputs
        (lambda m, x: m.large(x) * 0 + m.small(x), 2, 1),  # zeros carry a path
        (lambda m, x: F.conv_transpose2d(x, m.large.weight), 1, 1),
        (lambda m, x: x.mean((2, 3)), 0, 0),
        (lambda m, x: m.large(x).new_zeros(len(x), 4), 1, -math.inf),
        (lambda m, x: m.large(torch.ones_like(x)), 1, -math.inf),  # of nothing but constants
    ],
)
def test_calls_by_hand(run, convolutions, depth):
    assert wide_and_deep(Calls(run)) == pytest.approx((convolutions * math.log(3), depth))


def test_paths_are_not_followed_one_by_one():
    """2^200 paths, in a graph far deeper than Python's recursion goes."""

    def run(network, x):
        for _ in range(200):
            x = network.large(x) + network.small(x)
        for _ in range(3000):
            x = x + 1
        return x

    assert score("conv_depth", Calls(run)) == 200


def longest_in_cell(ops):
    """The most 3x3 convolutions from node 0 to node 3, path by path."""
    operations = dict(zip([(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)], ops, strict=True))
    paths = ([(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)])
    live = [path for path in paths if all(operations[edge] != "none" for edge in path)]
    return max(sum(operations[edge] == "nor_conv_3x3" for edge in path) for path in live)


def operations_of(architecture):
    return [edge.partition("~")[0] for node in architecture.split("+") for edge in node.strip("|").split("|")]


def test_cells_of_nas_bench_201_path_by_path():
    """A stem, 15 cells, two reductions of two 3x3 convolutions and a 1x1 shortcut."""
    rng = random.Random(5)
    for architecture in (SPACE.canonical(SPACE.sample(rng)) for _ in range(8)):
        ops = operations_of(architecture)
        count = sum("conv" in op for op in ops)
        width = math.log(16) + 5 * count * math.log(16 * 32 * 64) + 3 * math.log(32 * 64)
        expected = width, 5 + 15 * longest_in_cell(ops)
        assert wide_and_deep(SPACE.build(architecture)) == pytest.approx(expected), architecture


def test_golden_values():
    """|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|, all 3x3."""
    assert wide_and_deep(SPACE.build(SPACE[0])) == pytest.approx((129.6185, 5), abs=1e-3)
    assert wide_and_deep(SPACE.build(SPACE[1462])) == pytest.approx((337.5627, 50), abs=1e-3)


def test_inception_cell_of_nas_bench_101():
    """Stem and nine cells of eight convolutions with a quarter of the cell's channels; two 3x3 in a row."""
    network = get_space("nasbench101").build(INCEPTION)
    width = math.log(128) + 24 * math.log(32 * 64 * 128)
    assert wide_and_deep(network, probe_of(count=2, size=32)) == pytest.approx((width, 19))


def test_resnet18():
    """7x7, then eight blocks of two 3x3; a 1x1 shortcut before each of three stages."""
    width = 5 * math.log(64 * 128 * 256 * 512)
    assert wide_and_deep(resnet18(), probe_of(count=2, size=32)) == pytest.approx((width, 17))


def test_feature_maps_of_one_pixel_change_no_count():
    network = SPACE.build(SPACE[1462])
    assert wide_and_deep(network, probe_of(count=4, size=4)) == wide_and_deep(network, probe_of(count=4, size=32))


@pytest.mark.parametrize("name", ["nats_size", "nds_darts", "nds_resnet", "nds_vanilla"])
def test_widths_are_those_of_the_modules_that_are_called(name):
    """Modules' hooks as the second way."""
    space, rng, widths = get_space(name), random.Random(2), []
    network = space.build(space.sample(rng))
    expected = wide_and_deep(network, probe_of(count=2, size=32))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: widths.append(output.shape[1]))
    network.eval()(torch.randn(2, 3, 32, 32))
    assert expected[0] == pytest.approx(sum(map(math.log, widths)))
    assert 0 < expected[1] <= len(widths)


@pytest.mark.parametrize("index", [0, 11, 1462])
def test_params_macs_and_rectified_units_by_closed_form(index):
    """MACs are those of the data set's images, rectified units those of the probe's."""
    network, probe = SPACE.build(SPACE[index]), probe_of(size=8, image_size=32)
    expected = SPACE.complexity(SPACE[index])
    assert score("params", network, probe) == expected.params
    assert score("macs", network, probe) == expected.macs
    assert score("rectified_units", network, probe) == activation_kernel(network, probe.images).n_units


def test_params_are_those_that_train():
    network = branches()
    before = score("params", network)
    network.stem.weight.requires_grad_(False)
    assert score("params", network) == before - network.stem.weight.numel()


def test_macs_where_feature_maps_shrink_to_one_pixel():
    network = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 4))
    assert score("macs", network) == 4 * 192 + 4 * 5


def test_random_depends_on_the_weights_alone():
    networks = [branches(seed) for seed in range(40)]
    first = [score("random", network) for network in networks]
    assert [score("random", network, probe_of(seed=9)) for network in networks[::-1]] == first[::-1]
    assert score("random", branches(0).to(memory_format=torch.channels_last)) == first[0]
    assert len(set(first)) == 40
    assert all(0 <= value < 1 for value in first)
    assert 0.3 < sum(first) / 40 < 0.7
    with torch.no_grad():
        networks[0].linear.bias[0] += 1
    assert score("random", networks[0]) != first[0]
