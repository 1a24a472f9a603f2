import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18

from naswot_lightning import activation_kernel
from spaces import get_space
from tests.brute_force import brute_force_kernel

SPACE = get_space("nasbench201")


def images_of(count=8, size=8, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


class EveryWayToRectify(nn.Module):
    """Each ReLU by another route; ``calls`` of them see 3 * 8 * 8 units each."""

    calls = 15

    def __init__(self):
        super().__init__()
        self.module, self.in_place, self.prelu = nn.ReLU(), nn.ReLU(inplace=True), nn.PReLU()
        self.six, self.leaky = nn.ReLU6(), nn.LeakyReLU(0.1, inplace=True)
        self.threshold = nn.Threshold(0.0, 0.0)

    def forward(self, x):
        def shifted(amount):
            return x - amount

        self.module(shifted(0.1))
        self.in_place(shifted(0.2))
        F.relu(shifted(0.3))
        F.relu(shifted(0.4), inplace=True)
        torch.relu(shifted(0.5))
        torch.relu_(shifted(0.6))
        shifted(0.7).relu()
        shifted(0.8).relu_()
        shifted(0.9).clamp(min=0)
        torch.clamp_min(shifted(1.0), 0.0)
        self.six(shifted(1.1))
        self.leaky(shifted(1.2))
        self.prelu(shifted(1.3))
        self.threshold(shifted(1.4))
        F.hardtanh(shifted(1.5), 0.0, 6.0)
        F.hardtanh(shifted(1.6)).clamp(min=0.5)  # neither bends at zero
        F.gelu(x)
        torch.sigmoid(x)
        return x.mean((1, 2, 3))[:, None]


def test_rectifiers_are_seen_by_every_route_exactly_once():
    network, images = EveryWayToRectify(), images_of()
    kernel = activation_kernel(network, images)
    assert kernel.n_units == network.calls * 3 * 8 * 8
    layers = [(images - 0.1 * step).numpy() for step in range(1, 16)]
    np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel(layers))


class SharedInput(nn.Module):
    """One tensor feeds several rectifiers; then it is changed in place and rectified again."""

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
        return F.relu(y)


def test_a_tensor_that_feeds_several_rectifiers_counts_as_often_and_is_seen_to_change():
    images = images_of()
    first, second = images - 0.2, images - 0.2 + 0.7
    third = second.clone()
    third[:, :1] -= 1.5
    layers = [first, first, first, second, third, -third, F.relu(-third)]
    kernel = activation_kernel(SharedInput(), images)
    np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel([t.numpy() for t in layers]))


def test_resnet18_of_torchvision():
    """The stem's rectifier, and two in each of its eight blocks, all from in-place modules used twice."""
    network, images = resnet18(), images_of(4, 32)
    kernel = activation_kernel(network, images)
    stages = 2 * 2 * (64 * 8 * 8 + 128 * 4 * 4 + 256 * 2 * 2 + 512)
    assert kernel.n_units == 64 * 16 * 16 + stages
    assert activation_kernel(network, images, "reference").n_units == kernel.n_units
    assert math.isfinite(kernel.logdet())


class Remembers(nn.Module):
    """Keeps what its network returned while it was scored."""

    def __init__(self, network):
        super().__init__()
        self.network, self.outputs = network, []

    def forward(self, x):
        self.outputs.append(self.network(x).clone())
        return self.outputs[-1]


class FoldedReLU(nn.Module):
    def forward(self, x):
        wide = F.relu(x.contiguous(memory_format=torch.channels_last)).reshape(len(x) * 4, -1)
        folded = x.reshape(len(x) * 2, 3, 4, 8).contiguous(memory_format=torch.channels_last)
        return torch.cat([F.relu(wide - 0.1).reshape(len(x), -1), F.relu(folded).reshape(len(x), -1)], 1)


def recorded(network, images):
    """Return what a network gives while it is scored, and on its own in the same mode."""
    remembers = Remembers(network.train())
    activation_kernel(remembers, images)
    with torch.no_grad():
        return remembers.outputs[-1], network(images)


@pytest.mark.parametrize("name", ["cell with poolings", "every way", "shared input", "folded"])
def test_the_recorded_forward_pass_computes_what_the_plain_one_does(name):
    """Rectified while packing, pooled by another loop: every number is that of the plain pass."""
    network = {
        "cell with poolings": nn.Sequential(*SPACE.build(SPACE[0]).cells[0].edges), "every way": EveryWayToRectify(),
        "shared input": SharedInput(), "folded": FoldedReLU(),
    }[name]  # fmt: skip
    for module in network.modules():
        if hasattr(module, "weight") and isinstance(module, nn.BatchNorm2d):
            module.weight = None  # an affine BatchNorm has sums of our own
    images = images_of(8, 8).contiguous(memory_format=torch.channels_last)
    if name == "cell with poolings":
        images = torch.cat([images] * 6, dim=1)[:, :16].contiguous(memory_format=torch.channels_last)
    ours, plain = recorded(network, images)
    assert ours.equal(plain)


@pytest.mark.parametrize("name", ["nasbench201", "resnet18"])
def test_the_recorded_forward_pass_is_as_near_to_float64_as_the_plain_one(name):
    network = SPACE.build(SPACE[0]) if name == "nasbench201" else resnet18()
    images = images_of(8, 32).contiguous(memory_format=torch.channels_last)
    ours, plain = recorded(network, images)
    with torch.no_grad():
        exact = network.double()(images.double())
    assert (ours - exact).abs().max() <= 1.2 * (plain - exact).abs().max()
    assert (ours - exact).abs().max() <= 1e-4


def test_images_folded_into_the_batch_dimension():
    class Folded(nn.Module):
        def forward(self, x):
            patches = x.reshape(len(x) * 4, -1)
            return F.relu(patches).reshape(len(x), -1)

    images = images_of()
    np.testing.assert_array_equal(
        activation_kernel(Folded(), images).matrix.numpy(), brute_force_kernel([images.numpy()])
    )


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("inplace", [False, True])
def test_rectified_values_are_torchs(count, inplace):
    """In one pass with the codes, where nothing else will do, and in place without a copy."""
    images = torch.randn(6, 4, 9, 7, generator=torch.Generator().manual_seed(3))
    seen = []

    class Network(nn.Module):
        def forward(self, x):
            for _ in range(count):
                x = x - 0.1
                y = torch.relu_(x) if inplace else F.relu(x)
                seen.append((x.data_ptr() == y.data_ptr(), y.clone()))
                x = y
            return x

    kernel = activation_kernel(Network(), images)
    expected, layers = images, []
    for _, values in seen:
        layers.append((expected - 0.1).numpy())
        expected = torch.from_numpy(layers[-1]).relu()
        assert values.equal(expected)
    assert [same for same, _ in seen] == [inplace] * count
    np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel(layers))
    assert images.equal(torch.randn(6, 4, 9, 7, generator=torch.Generator().manual_seed(3)))
