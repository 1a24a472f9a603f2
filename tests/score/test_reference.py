import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning import activation_kernel
from spaces import get_space

SPACE = get_space("nasbench201")


def images_of(count=8, size=8, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_reference_counts_only_modules_connected_to_the_output():
    class Unconnected(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused, self.cut = nn.ReLU(), nn.ReLU(), nn.ReLU()
            self.linear = nn.Linear(192, 192)

        def forward(self, x):
            y = self.linear(x.flatten(1))
            self.unused(y)
            return self.used(y) + self.cut(y).detach() + F.relu(y)

    network, images = Unconnected(), images_of()
    assert activation_kernel(network, images, "reference").n_units == 192
    assert activation_kernel(network, images).n_units == 4 * 192


def test_reference_counts_what_feeds_only_zero_edges():
    """`none` multiplies by 0, so the (zero) gradient still marks what feeds it."""
    dead = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|skip_connect~2|"
    kernel = activation_kernel(SPACE.build(dead), images_of(2, 32), "reference")
    assert kernel.n_units == 286_720 + 77_824
