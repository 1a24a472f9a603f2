"""Which modules' outputs are the feature maps, and the three scores of AZ-NAS that look at them."""

import itertools
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18, vgg11

from naswot_lightning.scores.feature_maps import each_output, feature_modules
from spaces import get_space
from tests.scores.networks import SPACE, Branches, branches, probe_of, score, with_batch_statistics

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def cell():
    torch.manual_seed(2)
    return SPACE.build(CELL, 4)


def narrowing():
    """Maps of 8, 4, 4, 2 and 5 pixels a side, of 5, 7, 7, 3 and 6 channels; none divides by the other at the end."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 7, 3, stride=2, padding=1), nn.BatchNorm2d(7),
        nn.Conv2d(7, 7, 1), nn.ReLU(), nn.Conv2d(7, 3, 3), nn.ConvTranspose2d(3, 6, 2, padding=0, dilation=3),
    )  # fmt: skip


def maps_of(network, images):
    """Feature maps (N, C, H, W) by their modules' hooks, with a graph, in float64."""
    maps, clone = [], with_batch_statistics(network).double()
    with each_output(feature_modules(clone), maps.append):
        clone(images.double())
    return maps


@pytest.mark.parametrize(
    ("name", "maps"),
    [("nasbench201", 18), ("nats_size", 6), ("nasbench101", 10), ("nds_darts:depth=4,width=8", 5)],
)
def test_stem_and_every_cell(name, maps):
    space = get_space(name)
    network = space.build(space.sample(random.Random(0)))
    found = maps_of(network, torch.randn(2, 3, 32, 32))
    assert len(found) == maps
    assert found[0].shape[2:] == (32, 32)
    assert found[-1].shape[2:] == (8, 8)


def test_pooling_and_skipping_cells_are_cells_and_pools_between_them_are_none():
    network = SPACE.build("|skip_connect~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|")
    assert feature_modules(network) == [network.stem, *network.cells, network.head]
    assert len(maps_of(network, torch.randn(2, 3, 8, 8))) == 18  # the head's output is no map


def test_networks_of_others():
    network = resnet18()
    blocks = [block for stage in (network.layer1, network.layer2, network.layer3, network.layer4) for block in stage]
    assert feature_modules(network)[: 1 + len(blocks)] == [network.conv1, *blocks]
    plain = vgg11()
    assert [type(module) for module in feature_modules(plain)[:8]] == [nn.Conv2d] * 8
    anynet = get_space("nds_vanilla").build(get_space("nds_vanilla").sample(random.Random(0)))
    assert feature_modules(anynet) == [anynet.stem, *(block for stage in anynet.stages for block in stage)]


def test_a_network_can_say_so_itself_and_wrappers_stand_for_what_they_hold():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = branches()

        def forward(self, x):
            return self.body(x)

    class Saying(Own):
        def feature_modules(self):
            return [self.body.right]

    network = Own()
    body = network.body
    assert feature_modules(network) == feature_modules(body) == [body.stem, body.left, body.right]
    network = Saying()
    assert feature_modules(network) == [network.body.right]
    assert len(maps_of(network, probe_of().images)) == 1
    assert feature_modules(nn.Conv2d(3, 4, 1))[0].out_channels == 4


def entropies(network, images):
    found = []
    for feature_map in maps_of(network, images):
        rows = np.stack([channel.detach().numpy().ravel() for channel in feature_map.unbind(1)])
        values = np.linalg.svd(np.cov(rows, bias=True), compute_uv=False)
        shares = values / values.sum()
        found.append(-np.sum(shares * np.log(shares + 1e-8)))
    return found


@pytest.mark.parametrize("network", [branches, cell, narrowing])
def test_expressivity_and_progressivity_map_by_map(network):
    probe = probe_of(size=16 if network is cell else 8)
    expected = entropies(network(), probe.images)
    assert score("az_expressivity", network(), probe) == pytest.approx(sum(expected), rel=1e-4)
    assert score("az_progressivity", network(), probe) == pytest.approx(np.diff(expected).min(), rel=1e-4, abs=1e-5)


def test_expressivity_by_hand():
    """Two channels, x and 2x: one direction, entropy 0; x and an independent y of equal variance: log 2."""
    network, probe = nn.Conv2d(3, 2, 1, bias=False), probe_of()
    images = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])[..., None, None].expand(4, 2, 8, 8)
    probe = type(probe)(torch.cat([images, images[:, :1]], 1), torch.zeros(4, dtype=torch.int64), 4, 8, "")
    with torch.no_grad():
        network.weight[:] = torch.tensor([[1.0, 0, 0], [2.0, 0, 0]])[..., None, None]
        assert score("az_expressivity", network, probe) == pytest.approx(0, abs=1e-6)
        network.weight[:] = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])[..., None, None]
    assert score("az_expressivity", network, probe) == pytest.approx(math.log(2), abs=1e-6)
    assert score("az_progressivity", network, probe) == -math.inf  # of a single map


def brute_force_trainability(network, images, seed=20240615):
    generator, values = np.random.default_rng(seed), []
    maps = maps_of(network, images.clone().requires_grad_())
    for before, after in itertools.pairwise(maps):
        count, channels, height, width = after.shape
        bits = np.unpackbits(np.frombuffer(generator.bytes(after.numel() // 8 + 1), np.uint8), count=after.numel())
        signs = torch.from_numpy(2.0 * bits - 1).reshape(count, height, width, channels).permute(0, 3, 1, 2)
        (gradient,) = torch.autograd.grad(after, before, signs, retain_graph=True)
        if gradient.shape[2] > height:
            gradient = nn.functional.pixel_unshuffle(gradient, gradient.shape[2] // height)
        product = torch.einsum("ncij,ndij->cd", gradient, signs) / (count * height * width)
        largest = np.linalg.svd(product.numpy(), compute_uv=False).max()
        values.append(-largest - 1 / (largest + 1e-6) + 2)
    return np.mean(values)


@pytest.mark.parametrize("network", [cell, lambda: narrowing()[:5]])
def test_trainability_cell_by_cell(network):
    probe = probe_of(size=16)
    expected = brute_force_trainability(network(), probe.images)
    assert score("az_trainability", network(), probe) == pytest.approx(expected, rel=1e-3)


def test_trainability_by_hand():
    """A 1x1 convolution with an orthogonal weight hands gradients back by it: s is close to 1, and the score to 0."""
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1, bias=False))
    nn.init.orthogonal_(network[1].weight)
    assert score("az_trainability", network, probe_of(count=32, size=16)) == pytest.approx(0, abs=1e-2)
    with torch.no_grad():
        network[1].weight *= 3
    expected = 2 - 3 - 1 / 3
    assert score("az_trainability", network, probe_of(count=32, size=16)) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("change", [lambda x: x.detach() + 1, lambda x: x, lambda x: x * 0])
def test_a_cell_that_hands_on_nothing_or_the_same_is_degenerate(change):
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x):
            return change(self.inner(x))

    network = nn.Sequential(nn.Conv2d(3, 4, 1), Cell(), nn.Conv2d(4, 4, 3))
    assert score("az_trainability", network) == -math.inf


def test_a_cell_that_does_not_look_at_the_map_before_looks_further_back():
    """The right branch looks at the stem, not at the left one: its value is that of the two alone."""

    class Right(Branches):
        def feature_modules(self):
            return [self.stem, self.right]

    class Left(Branches):
        def feature_modules(self):
            return [self.stem, self.left]

    values = []
    for kind in (Right, Left, None):
        network = branches()
        network.__class__ = kind or type(network)
        values.append(score("az_trainability", network))
    assert values[2] == pytest.approx((values[0] + values[1]) / 2, abs=0.05)  # other signs


@pytest.mark.parametrize("name", ["nds_nasnet", "nds_amoeba", "nds_darts"])
def test_cells_of_two_inputs_are_not_degenerate(name):
    space = get_space(f"{name}:depth=4,width=8")
    rng = random.Random(1)
    for _ in range(3):
        assert math.isfinite(score("az_trainability", space.build(space.sample(rng)), probe_of(size=16)))


def test_sizes_that_do_not_divide_and_rising_ones_are_scored():
    assert math.isfinite(score("az_trainability", narrowing()))
    assert math.isfinite(score("az_trainability", narrowing(), probe_of(size=7)))
