"""ReLUs are recorded by every route exactly once, and the recorded pass computes what the plain one does."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18

from naswot_lightning import activation_kernel
from naswot_lightning.spaces import get_space
from tests.brute_force import brute_force_kernel, images_of

SPACE = get_space("nasbench201")


class EveryWayToRectify(nn.Module):
    """Each ReLU by another route; ``calls`` of them see 3 * 8 * 8 units each."""

    calls = 15

    def __init__(self):
        super().__init__()
        self.module, self.in_place, self.prelu = nn.ReLU(), nn.ReLU(inplace=True), nn.PReLU()
        self.six, self.leaky = nn.ReLU6(), nn.LeakyReLU(0.1, inplace=True)
        self.threshold = nn.Threshold(0.0, 0.0)

    def forward(self, x):
        for step, rectify in enumerate(
            (
                self.module, self.in_place, F.relu, lambda x: F.relu(x, inplace=True), torch.relu, torch.relu_,
                lambda x: x.relu(), lambda x: x.relu_(), lambda x: x.clamp(min=0), lambda x: torch.clamp_min(x, 0.0),
                self.six, self.leaky, self.prelu, self.threshold, lambda x: F.hardtanh(x, 0.0, 6.0),
            ),
            start=1,
        ):  # fmt: skip
            rectify(x - 0.1 * step)
        F.hardtanh(x - 1.6).clamp(min=0.5)  # neither bends at zero
        F.gelu(x)
        torch.sigmoid(x)
        return x.mean((1, 2, 3))[:, None]


class SharedInput(nn.Module):
    """One tensor feeds several ReLUs; then it is changed in place and rectified again."""

    def forward(self, x):
        y = x - 0.2
        F.relu(y), F.relu(y), torch.relu(y)
        y += 0.7
        F.relu(y)
        view = y[:, :1]
        view -= 1.5
        F.relu(y)
        y.mul_(-1)
        F.relu(y, inplace=True)
        F.relu(y)
        return y


class Folded(nn.Module):
    """Several rows per image."""

    def forward(self, x):
        return F.relu(x.contiguous().reshape(len(x) * 4, -1)).reshape(len(x), -1)


def layers_of_shared_input(images):
    first, second = images - 0.2, images - 0.2 + 0.7
    third = second.clone()
    third[:, :1] -= 1.5
    return [first, first, first, second, third, -third, F.relu(-third)]


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        (EveryWayToRectify(), lambda images: [images - 0.1 * step for step in range(1, 16)]),
        (SharedInput(), layers_of_shared_input),
        (Folded(), lambda images: [images]),
    ],
)
def test_every_relu_is_seen_exactly_once(network, layers):
    images = images_of()
    expected = brute_force_kernel([layer.numpy() for layer in layers(images)])
    np.testing.assert_array_equal(activation_kernel(network, images).matrix.numpy(), expected)


def test_resnet18_of_torchvision():
    """The stem's ReLU, and two in each of its eight blocks, all from in-place modules used twice."""
    network, images = resnet18(), images_of(4, 32)
    kernel = activation_kernel(network, images)
    stages = 2 * 2 * (64 * 8 * 8 + 128 * 4 * 4 + 256 * 2 * 2 + 512)
    assert kernel.n_units == 64 * 16 * 16 + stages
    assert activation_kernel(network, images, "reference").n_units == kernel.n_units
    assert math.isfinite(kernel.logdet())


def recorded(network, images):
    """Return what a network gives while it is scored, and on its own in the same mode."""
    outputs = []
    hook = network.train().register_forward_hook(lambda module, inputs, output: outputs.append(output.clone()))
    activation_kernel(nn.Sequential(network, nn.ReLU()), images)
    hook.remove()
    with torch.no_grad():
        return outputs[-1], network(images)


def test_the_recorded_forward_pass_computes_what_the_plain_one_does():
    """Rectified while packing, pooled by another loop: every number is that of the plain pass."""
    images = images_of(8, 8).contiguous(memory_format=torch.channels_last)
    wide = torch.cat([images] * 6, dim=1)[:, :16].contiguous(memory_format=torch.channels_last)
    edges = nn.Sequential(*SPACE.build(SPACE[0]).cells[0].edges)
    for module in edges.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight = None  # an affine BatchNorm has sums of our own
    for network, batch in ((edges, wide), (EveryWayToRectify(), images), (SharedInput(), images), (Folded(), images)):
        ours, plain = recorded(network, batch)
        assert ours.equal(plain)
