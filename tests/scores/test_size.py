"""Size as a score: counts by closed form, by hand and by modules' hooks."""

import math
import random
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18, vit_b_16

from naswot_lightning.naswot import activation_kernel
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.spaces import get_space, list_spaces
from naswot_lightning.spaces.base import NamedNetworks, count_macs
from tests.scores.networks import SPACE, branches, probe_of, score
from tests.spaces.test_every_space import CELLS


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


def test_networks_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16), nn.Conv2d(16, 4, 5),
        nn.Conv2d(4, 1, (1, 2)), nn.Flatten(), nn.Linear(2, 4),
    )  # fmt: skip
    assert wide_and_deep(network) == pytest.approx((math.log(8 * 16 * 4), 3))
    # The stem, then the 3x3 branch beside a 1x1 one.
    assert wide_and_deep(branches()) == pytest.approx((3 * math.log(6), 2))
    # Of NAS-Bench-201, all 3x3: a stem, 15 cells, two reductions; feature maps of one pixel change no count.
    network = SPACE.build(SPACE[1462])
    assert wide_and_deep(network) == pytest.approx((337.5627, 50), abs=1e-3)
    assert wide_and_deep(network, probe_of(count=4, size=4)) == wide_and_deep(network, probe_of(count=4, size=32))
    # 7x7, then eight blocks of two 3x3; a 1x1 shortcut before each of three stages.
    expected = 5 * math.log(64 * 128 * 256 * 512), 17
    assert wide_and_deep(resnet18(), probe_of(count=2, size=32)) == pytest.approx(expected)


class Attends(nn.Module):
    """Two attentions one after the other, each beside a shortcut: fused, written by hand, or torch's module."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.module = kind, nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x):
        # (N, 12, 16)
        x = x.flatten(1).unflatten(1, (-1, 16))
        for _ in range(2):
            if self.kind == "fused":
                x = x + F.scaled_dot_product_attention(x, x, x)
            elif self.kind == "by hand":
                x = x + (x @ x.mT).softmax(-1) @ x
            else:
                x = x + self.module(x, x, x, need_weights=self.kind == "module with weights")[0]
        # Of channels: no attention.
        return x.mean(1).softmax(-1)


def test_attentions_are_depth():
    for kind in ("fused", "by hand", "module", "module with weights"):
        assert score("conv_depth", Attends(kind), probe_of(size=8)) == 2, kind
    assert score("conv_depth", vit_b_16(image_size=16), probe_of(count=2, size=16)) == 1 + 12


def test_params_macs_and_rectified_units():
    """MACs are those of the data set's images, rectified units those of the probe's; parameters those that train."""
    for index in (0, 11, 1462):
        network, probe = SPACE.build(SPACE[index]), probe_of(size=8, image_size=32)
        expected = SPACE.complexity(SPACE[index])
        assert score("params", network, probe) == expected.params
        assert score("macs", network, probe) == expected.macs
        assert score("rectified_units", network, probe) == activation_kernel(network, probe.images).n_units
    # Feature maps that shrink to one pixel.
    network = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 4))
    assert score("macs", network) == 4 * 192 + 4 * 5
    before = score("params", network)
    network[0].weight.requires_grad_(False)
    assert score("params", network) == before - network[0].weight.numel()


# Feature maps that refuse channels_last memory; images that are not outermost; no ReLU; a layer that is called twice.
OWN = {
    "view": lambda net, x: F.relu(net.large(x).view(len(x), -1)),
    "transposed": lambda net, x: F.relu(net.small(x).transpose(0, 1)).sum((0, 2, 3))[:, None],
    "smooth": lambda net, x: F.silu(net.large(x)).flatten(1),
    "twice": lambda net, x: F.linear(F.relu(net.small(net.small(x))).mean((2, 3)), net.small.weight[:, :, 0, 0]),
}


def test_a_size_seen_while_scoring_is_that_of_one_image_on_the_meta_device():
    own = NamedNetworks({name: partial(lambda run, _: Calls(run), run) for name, run in OWN.items()}, "own")
    own.builds_on_meta = True
    sampled = [(own, name) for name in OWN]
    for name in list_spaces():
        space = get_space(f"{name}:depth=3,width=4" if name in CELLS else name)
        sampled += [(space, space.sample(random.Random(1)))] if space.builds_on_meta else []
    assert len(sampled) == 13
    for space, architecture in sampled:
        expected = space.complexity(architecture, 4, 3, 16)
        for scores, size in ((["naswot"], 16), (["params"], 16), (["naswot"], 8)):
            evaluator = ScoreEvaluator(space, [probe_of(4, size, image_size=16)], scores)
            # Not counted a second time on the meta device.
            assert evaluator._counts_by_passes
            found = evaluator(architecture)
            assert (found.params, found.macs) == (expected.params, expected.macs), architecture


def test_macs_of_layers_that_torch_hides_or_turns_round():
    def macs(network, *shape):
        images = torch.zeros(1, *shape)
        return count_macs(network, images), count_macs(network.eval(), images)

    # 3 x 8 x 8 values, each spread to 2 channels of 2 x 2 pixels.
    assert macs(nn.ConvTranspose2d(3, 2, 2), 3, 8, 8) == (192 * 8, 192 * 8)
    for bias in (True, False):
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, bias=bias)
        by_hand = 5 * (8 * (8 + bias) * 4 + 16 * (8 + bias) + 8 * (16 + bias))
        assert macs(layer, 5, 8) == (by_hand, by_hand)


def test_random_depends_on_the_weights_alone():
    networks = [branches(seed) for seed in range(40)]
    first = [score("random", network) for network in networks]
    assert [score("random", network, probe_of(seed=9)) for network in networks[::-1]] == first[::-1]
    assert score("random", branches(0).to(memory_format=torch.channels_last)) == first[0]
    assert len(set(first)) == 40
    assert 0 <= min(first) < max(first) < 1
    assert 0.3 < sum(first) / 40 < 0.7
