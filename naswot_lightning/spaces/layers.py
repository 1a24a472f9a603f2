"""Layers that the cell spaces share (NAS-Bench-201, NATS-Bench, NDS)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Return a convolution without bias that keeps the image's size at stride 1, and its BatchNorm."""
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out)


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution without bias, BatchNorm: (N, c_in, H, W) to (N, c_out, H / stride, W / stride).

    The class name matters: the published scoring code counts every module whose class name holds "ReLU",
    this wrapper beside the ReLU inside it (``naswot_score(..., variant="reference")``).
    """

    def __init__(self, c_in: int, c_out: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(nn.ReLU(), *conv_bn(c_in, c_out, kernel_size, stride))


class Zero(nn.Module):
    """The operation ``none``: zeros of the input's shape, with a gradient path as in the benchmark."""

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros of the shape of ``x``."""
        return x * 0.0


class GlobalAveragePool(nn.Module):
    """(N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over the image plane."""
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


def draw_he_weights(network: nn.Module) -> None:
    """Draw convolutions from N(0, sqrt(2 / (k^2 c_out))) and linear layers from N(0, 0.01), without bias.

    As pycls draws the weights of AnyNet, and the published scoring code those of NAS-Bench-101.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=math.sqrt(2 / (math.prod(module.kernel_size) * module.out_channels)))
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
