"""The operations on the edges of NDS cells (Radosavovic et al., 2019; pycls): channels in = channels out.

ReLUs are not in place, since one tensor feeds several edges. BatchNorm follows convolutions, not pooling.
No class here holds "ReLU" in its name: the published scoring code counts by class name, and counts none of
these wrappers beside the ReLUs inside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spaces.layers import Zero


class FactorizedReduce(nn.Module):
    """Halve the image: (N, c_in, H, W) to (N, c_out, ceil(H / 2), ceil(W / 2)).

    ReLU, two 1x1 convolutions of stride 2, one on even and one on odd pixels, concatenated; BatchNorm.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(c_in, c_out // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(c_in, c_out - c_out // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the halved feature maps."""
        x = self.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]  # zeros beyond the last row and column
        return self.bn(torch.cat([self.even(x), self.odd(shifted)], dim=1))


class SubsampledZero(nn.Module):
    """The operation ``none`` at stride 2: zeros with a gradient path, as in the published code."""

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros of half the height and width of ``x``."""
        return x[:, :, ::2, ::2] * 0.0


def operation(name: str, channels: int, stride: int) -> nn.Module:
    """Return the untrained operation: (N, C, H, W) to (N, C, H / stride, W / stride).

    ``nn.Identity``, and nothing else, is the identity: drop path spares it.

    Raises:
        KeyError: no operation of that name in :data:`OPERATIONS`.
    """
    return OPERATIONS[name](channels, stride)


def _none(channels: int, stride: int) -> nn.Module:
    return Zero() if stride == 1 else SubsampledZero()


def _skip_connect(channels: int, stride: int) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)


def _avg_pool(channels: int, stride: int) -> nn.Module:
    return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


def _max_pool(kernel_size: int) -> Callable[[int, int], nn.Module]:
    return lambda channels, stride: nn.MaxPool2d(kernel_size, stride, padding=kernel_size // 2)


def _conv(kernel_size: int) -> Callable[[int, int], nn.Module]:
    def build(channels: int, stride: int) -> nn.Module:
        convolution = nn.Conv2d(channels, channels, kernel_size, stride, kernel_size // 2, bias=False)
        return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(channels))

    return build


def _factorized_conv(kernel_size: int) -> Callable[[int, int], nn.Module]:
    """Return 1 x k then k x 1, with one ReLU before and one BatchNorm after."""
    padding = kernel_size // 2

    def build(channels: int, stride: int) -> nn.Module:
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, (1, kernel_size), (1, stride), (0, padding), bias=False),
            nn.Conv2d(channels, channels, (kernel_size, 1), (stride, 1), (padding, 0), bias=False),
            nn.BatchNorm2d(channels),
        )

    return build


def _separable(kernel_size: int, repeats: int, dilation: int = 1) -> Callable[[int, int], nn.Module]:
    """Return (ReLU, depthwise k x k, 1x1, BatchNorm) ``repeats`` times, the first with the stride."""

    def build(channels: int, stride: int) -> nn.Module:
        layers = [_separable_layers(channels, kernel_size, stride if i == 0 else 1, dilation) for i in range(repeats)]
        return nn.Sequential(*[layer for group in layers for layer in group])

    return build


def _separable_layers(channels: int, kernel_size: int, stride: int, dilation: int) -> Sequence[nn.Module]:
    padding = dilation * (kernel_size // 2)
    return (
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel_size, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )


OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": _none,
    "skip_connect": _skip_connect,
    "avg_pool_3x3": _avg_pool,
    "max_pool_3x3": _max_pool(3),
    "max_pool_5x5": _max_pool(5),
    "max_pool_7x7": _max_pool(7),
    "conv_1x1": _conv(1),
    "conv_3x3": _conv(3),
    "conv_3x1_1x3": _factorized_conv(3),
    "conv_7x1_1x7": _factorized_conv(7),
    "sep_conv_3x3": _separable(3, repeats=2),
    "sep_conv_5x5": _separable(5, repeats=2),
    "sep_conv_7x7": _separable(7, repeats=2),
    "dil_conv_3x3": _separable(3, repeats=1, dilation=2),
    "dil_conv_5x5": _separable(5, repeats=1, dilation=2),
    "dil_sep_conv_3x3": _separable(3, repeats=2, dilation=2),
}
