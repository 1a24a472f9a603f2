"""Which modules' outputs are the feature maps, and the scores that look at them: meco, those of AZ-NAS, zen."""

import copy
import itertools
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18, vgg11

from naswot_lightning.scores.feature_maps import each_output, feature_modules
from naswot_lightning.spaces import get_space
from tests.scores.networks import (
    SPACE,
    Branches,
    branches,
    cell,
    chain,
    outputs_of,
    probe_of,
    score,
    with_batch_statistics,
)


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


def test_stem_and_every_cell_of_our_spaces():
    for name, count in (("nasbench201", 18), ("nats_size", 6), ("nasbench101", 10), ("nds_darts:depth=4,width=8", 5)):
        space = get_space(name)
        found = maps_of(space.build(space.sample(random.Random(0))), torch.randn(2, 3, 32, 32))
        assert len(found) == count
        assert (found[0].shape[2:], found[-1].shape[2:]) == ((32, 32), (8, 8))
    # Pooling and skipping cells are cells; the head's output is no map.
    network = SPACE.build("|skip_connect~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|")
    assert feature_modules(network) == [network.stem, *network.cells, network.head]


def test_networks_of_others():
    network = resnet18()
    blocks = [block for stage in (network.layer1, network.layer2, network.layer3, network.layer4) for block in stage]
    assert feature_modules(network)[: 1 + len(blocks)] == [network.conv1, *blocks]
    assert [type(module) for module in feature_modules(vgg11())[:8]] == [nn.Conv2d] * 8
    anynet = get_space("nds_vanilla").build(get_space("nds_vanilla").sample(random.Random(0)))
    assert feature_modules(anynet) == [anynet.stem, *(block for stage in anynet.stages for block in stage)]
    # A wrapper stands for what it holds.
    body = branches()
    wrapped = nn.Sequential(body)
    assert feature_modules(wrapped) == feature_modules(body) == [body.stem, body.left, body.right]
    assert feature_modules(nn.Conv2d(3, 4, 1))[0].out_channels == 4


@pytest.mark.parametrize("network", [branches, cell, narrowing])
def test_expressivity_and_progressivity_map_by_map(network):
    probe, entropies = probe_of(size=16 if network is cell else 8), []
    for feature_map in maps_of(network(), probe.images):
        rows = np.stack([channel.detach().numpy().ravel() for channel in feature_map.unbind(1)])
        values = np.linalg.svd(np.cov(rows, bias=True), compute_uv=False)
        shares = values / values.sum()
        entropies.append(-np.sum(shares * np.log(shares + 1e-8)))
    assert score("az_expressivity", network(), probe) == pytest.approx(sum(entropies), rel=1e-4)
    assert score("az_progressivity", network(), probe) == pytest.approx(np.diff(entropies).min(), rel=1e-4, abs=1e-5)
    assert score("az_progressivity", nn.Conv2d(3, 4, 1)) == -math.inf  # of a single map


def brute_force_trainability(network, images, seed=20240615):
    generator, values = np.random.default_rng(seed), []
    for before, after in itertools.pairwise(maps_of(network, images.clone().requires_grad_())):
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
    # Sizes that do not divide, and one that grows.
    assert math.isfinite(score("az_trainability", narrowing(), probe_of(size=7)))


def test_a_cell_that_hands_on_nothing_or_the_same_is_degenerate():
    class Cell(nn.Module):
        def __init__(self, change):
            super().__init__()
            self.inner, self.change = nn.Identity(), change

        def forward(self, x):
            return self.change(self.inner(x))

    for change in (lambda x: x.detach() + 1, lambda x: x, lambda x: x * 0):
        network = nn.Sequential(nn.Conv2d(3, 4, 1), Cell(change), nn.Conv2d(4, 4, 3))
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
    for kind in (Right, Left, Branches):
        network = branches()
        network.__class__ = kind
        values.append(score("az_trainability", network))
    assert values[2] == pytest.approx((values[0] + values[1]) / 2, abs=0.05)  # other signs
    for name in ("nds_nasnet", "nds_amoeba", "nds_darts"):
        space = get_space(f"{name}:depth=4,width=8")
        network = space.build(space.sample(random.Random(1)))
        assert math.isfinite(score("az_trainability", network, probe_of(size=16)))


@pytest.mark.parametrize("network", [cell, chain])
def test_meco_layer_by_layer(network):
    """The operation none is a layer, too, of constant channels: 0."""
    probe, total = probe_of(size=16 if network is cell else 8), 0.0
    for output in outputs_of(network(), (nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.AvgPool2d), probe.images):
        channels = output[0].double().numpy().reshape(output.shape[1], -1)
        if len(channels) < channels.shape[1] and channels.std(axis=1).min() > 0:
            total += max(0.0, np.real(np.linalg.eig(np.corrcoef(channels))[0]).min())
    assert score("meco", network(), probe) == pytest.approx(total or -math.inf, rel=1e-4)


def brute_force_zen(network, last, norms, size=8, repeats=4, seed=20210201):
    """Weights written into a clone, BatchNorm in train mode, everything seen by hooks."""
    generator, values = torch.Generator().manual_seed(seed), []

    def deviation(inputs):
        values = inputs.numpy().astype(np.float64)
        return math.sqrt(np.mean([values[:, channel].var() for channel in range(values.shape[1])]))

    for _ in range(repeats):
        clone, maps, spreads = copy.deepcopy(network).eval(), [], []
        layers = {id(m.weight) for m in clone.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        with torch.no_grad():
            for name, parameter in clone.named_parameters():
                if id(parameter) in layers:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator))
                else:
                    parameter.fill_(0 if "bias" in name else 1)
            images, noise = torch.randn(2, 16, 3, size, size, generator=generator)
            last(clone).register_forward_hook(lambda module, _, output, maps=maps: maps.append(output.numpy().copy()))
            for norm in norms(clone):
                norm.train()
                norm.register_forward_pre_hook(lambda _, given, spreads=spreads: spreads.append(deviation(given[0])))
            clone(images)
            log_sum = sum(math.log(spread) for spread in spreads)
            clone(images + 0.01 * noise)
        differences = (maps[0] - maps[1]).reshape(16, -1).astype(np.float64)
        values.append(math.log(np.mean([np.sqrt(np.sum(row**2)) for row in differences])) + log_sum)
    return np.mean(values)


def test_zen_agrees_with_a_changed_clone():
    def norms(clone):  # all but the head's, which comes after the last map
        return [m for m in clone.modules() if isinstance(m, nn.BatchNorm2d) and m is not clone.head[0]]

    expected = brute_force_zen(cell(), lambda clone: clone.cells[-1], norms)
    assert score("zen", cell()) == pytest.approx(expected, rel=1e-4)
    # The last map is that of the last convolution, before the second BatchNorm.
    expected = brute_force_zen(branches(), lambda clone: clone.right, lambda clone: [clone.norm])
    assert score("zen", branches()) == pytest.approx(expected, rel=1e-4)
    # It sees neither the weights nor the images.
    assert score("zen", branches(1), probe_of(count=2, seed=7)) == score("zen", branches())


def test_zen_of_a_dead_branch_and_of_a_deep_network_without_batch_norm():
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    assert math.isfinite(score("zen", SPACE.build(dead)))
    deep = nn.Sequential(*(nn.Conv2d(3 if layer == 0 else 64, 64, 3, padding=1) for layer in range(32)))
    assert math.isnan(score("zen", deep))
