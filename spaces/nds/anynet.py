"""AnyNet of NDS (Radosavovic et al., 2019; pycls): a stem, stages of equal blocks, a classifier.

Modules are made in the order of the published code, so that the same generator draws the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from spaces.layers import GlobalAveragePool, draw_he_weights

# From stage, input channels and stride to one block.
Block = Callable[["Stage", int, int], nn.Module]


@dataclass(frozen=True)
class Stage:
    """Blocks of one width; the first has the stride."""

    depth: int
    """Number of blocks."""
    width: int
    """Output channels of each block."""
    stride: int
    bottleneck: float = 1.0
    """Channels inside a bottleneck block, as a multiple of ``width``."""
    groups: int = 1
    """Of the 3x3 convolution of a bottleneck block."""

    @property
    def inner_width(self) -> int:
        """Channels inside a bottleneck block."""
        return round(self.width * self.bottleneck)


class AnyNet(nn.Module):
    """Images (N, 3, H, W) to logits (N, num_classes), by a stem of ``stem_width`` channels and stages of blocks."""

    def __init__(
        self, stem: nn.Module, stem_width: int, stages: tuple[Stage, ...], block: Block, num_classes: int
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential()
        channels = stem_width
        for stage in stages:
            blocks = [block(stage, channels, stage.stride)]
            blocks += [block(stage, stage.width, 1) for _ in range(stage.depth - 1)]
            self.stages.append(nn.Sequential(*blocks))
            channels = stage.width
        self.pool = GlobalAveragePool()
        self.classifier = nn.Linear(channels, num_classes)
        draw_he_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.classifier(self.pool(self.stages(self.stem(images))))


def estimate_stage_params(stages: tuple[Stage, ...], stem_width: int, has_bottleneck: bool) -> int:
    """Return the weights of the convolutions in all blocks, without those of shortcuts."""
    total, c_in = 0, stem_width
    for stage in stages:
        if has_bottleneck:
            outer, inner = stage.inner_width, 9 * stage.inner_width**2 // stage.groups + stage.inner_width * stage.width
        else:
            outer, inner = 9 * stage.width, 9 * stage.width**2
        # Weights per block: as many as ``outer`` from each input channel, and ``inner`` behind them.
        total += outer * (c_in + (stage.depth - 1) * stage.width) + stage.depth * inner
        c_in = stage.width
    return total


def cifar_stem(in_channels: int, width: int, stride: int = 1) -> nn.Module:
    """Return 3x3 convolution, BatchNorm, ReLU: (N, in_channels, H, W) to (N, width, H / stride, W / stride)."""
    return nn.Sequential(*_conv_bn(in_channels, width, 3, stride), nn.ReLU(inplace=True))


def imagenet_stem(in_channels: int, width: int) -> nn.Module:
    """Return 7x7 convolution and max pooling: (N, in_channels, H, W) to (N, width, H / 4, W / 4)."""
    return nn.Sequential(
        *_conv_bn(in_channels, width, 7, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
    )


def vanilla_block(stage: Stage, c_in: int, stride: int) -> nn.Module:
    """Return two of 3x3 convolution, BatchNorm, ReLU, without shortcut."""
    first, second = _conv_bn(c_in, stage.width, 3, stride), _conv_bn(stage.width, stage.width, 3)
    return nn.Sequential(*first, nn.ReLU(inplace=True), *second, nn.ReLU(inplace=True))


def basic_block(stage: Stage, c_in: int, stride: int) -> nn.Module:
    """Return the residual block of two 3x3 convolutions."""
    shortcut = projection(c_in, stage.width, stride)
    first, second = _conv_bn(c_in, stage.width, 3, stride), _conv_bn(stage.width, stage.width, 3)
    return ResidualBlock(shortcut, nn.Sequential(*first, nn.ReLU(inplace=True), *second))


def bottleneck_block(stage: Stage, c_in: int, stride: int) -> nn.Module:
    """Return the residual block of 1x1, grouped 3x3 (with the stride) and 1x1 convolutions."""
    inner = stage.inner_width
    shortcut = projection(c_in, stage.width, stride)
    first, second = _conv_bn(c_in, inner, 1), _conv_bn(inner, inner, 3, stride, stage.groups)
    third = _conv_bn(inner, stage.width, 1)
    main = nn.Sequential(*first, nn.ReLU(inplace=True), *second, nn.ReLU(inplace=True), *third)
    return ResidualBlock(shortcut, main)


class ResidualBlock(nn.Module):
    """ReLU of shortcut plus main branch: (N, c_in, H, W) to (N, width, H / stride, W / stride)."""

    def __init__(self, shortcut: nn.Module, main: nn.Module) -> None:
        super().__init__()
        self.shortcut, self.main, self.relu = shortcut, main, nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return self.relu(self.shortcut(x) + self.main(x))


def projection(c_in: int, c_out: int, stride: int) -> nn.Module:
    """Return the shortcut: the identity, or 1x1 convolution and BatchNorm where the shape changes."""
    if c_in == c_out and stride == 1:
        return nn.Identity()
    return nn.Sequential(*_conv_bn(c_in, c_out, 1, stride))


def _conv_bn(c_in: int, c_out: int, kernel_size: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(c_in, c_out, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    return convolution, nn.BatchNorm2d(c_out)
