"""The standard spaces of NDS (Radosavovic et al., 2019): Vanilla, ResNet, ResNeXt-A and ResNeXt-B.

A network is three stages of equal blocks. An architecture lists, stage by stage, depths (blocks), widths
(output channels) and strides; for ResNeXt also bottlenecks (inner channels as a multiple of the width) and
numbers of groups::

    ds=1,2,3;ws=16,32,64;ss=1,2,2
    ds=1,2,4;ws=16,32,64;ss=1,2,2;bm=1,0.5,0.25;gs=1,2,4

The NDS data list one stage more, the first, of depth 1, width 16 and stride 1: it stands for the stem. The
published scoring code builds it as a stage; write it as a stage where that is wanted.
"""

from __future__ import annotations

import random
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar

from torch import Tensor, nn

from naswot_lightning.spaces.base import Space
from naswot_lightning.spaces.errors import (
    MAX_PARAMS,
    SpaceError,
    TooLargeError,
    did_you_mean,
    expect_buildable,
    quoted,
    read_bounded,
)
from naswot_lightning.spaces.graph import CellGraph, chain_graph
from naswot_lightning.spaces.layers import GlobalAveragePool, conv_bn, draw_he_weights

STRIDES = (1, 2, 2)
STEM_WIDTH = 16
QUIRKS_STEM_WIDTH = 12

_FIELDS = {"ds": "depth", "ws": "width", "ss": "stride", "bm": "bottleneck", "gs": "groups"}
_INTEGER = re.compile("[1-9][0-9]*")
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]{1,6})?")

# Of all stages.
MAX_BLOCKS = 200
# Channels of a block, inside it too.
MAX_WIDTH = 4_096
MAX_BOTTLENECK = 100
# What each number is, its largest value and unit.
_BOUNDS = {
    "ds": ("depth", MAX_BLOCKS, "blocks in all"),
    "ws": ("width", MAX_WIDTH, "channels"),
    "ss": ("stride", 2, "pixels"),
    "gs": ("number of groups", MAX_WIDTH, "groups"),
}


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

    def changed(self, field: str, value: float) -> Stage:
        """Return the stage with another value of a field."""
        return replace(self, **{field: value})  # type: ignore[arg-type]


Stages = tuple[Stage, ...]


class StandardSpace(Space):
    """Three stages; each draws its numbers uniformly from the lists of the space, which are log-spaced.

    Args:
        naswot_quirks: build what the published scoring code builds: a stem of 12 channels that divides the
            image by 4 (Vanilla: by 2), and ``gs`` read as the channels of a group. Otherwise the stem of the
            NDS networks for CIFAR-10: a 3x3 convolution of 16 channels at stride 1.
    """

    skeleton = "stem of 16 channels, 3 stages, the last two at stride 2"
    made_for = "32x32: CIFAR-10"
    source = "NDS: Radosavovic et al. 2019"
    builds_on_meta = True
    depths: ClassVar[tuple[int, ...]]
    widths: ClassVar[tuple[int, ...]]
    # None: the block has no bottleneck and no groups.
    bottlenecks: ClassVar[tuple[float, ...]] = ()
    groups: ClassVar[tuple[int, ...]] = ()
    block: ClassVar[str]

    def __init__(self, naswot_quirks: bool = False) -> None:
        self.naswot_quirks = naswot_quirks

    def sample(self, rng: random.Random) -> str:
        """Draw every number uniformly from its list; strides are 1, 2, 2."""
        stages = [Stage(1, 1, stride) for stride in STRIDES]
        for field, values in self._choices().items():
            stages = [stage.changed(field, rng.choice(values)) for stage in stages]
        return self._format(tuple(stages))

    def mutate(self, architecture: str, rng: random.Random) -> str:
        """Change one number of one stage: uniform over all architectures that differ by that."""
        stages = self.parse(architecture)
        neighbours = []
        for position, stage in enumerate(stages):
            for field, values in self._choices().items():
                changed = [stage.changed(field, value) for value in values if value != getattr(stage, field)]
                neighbours += [(*stages[:position], new, *stages[position + 1 :]) for new in changed]
        neighbours = [n for n in neighbours if not any(map(self._group_fault, n))]
        while True:
            child = rng.choice(neighbours)
            widest, blocks = max(stage.inner_width for stage in child), sum(stage.depth for stage in child)
            if widest <= MAX_WIDTH and blocks <= MAX_BLOCKS and self._params(child) <= MAX_PARAMS:
                return self._format(child)

    def build(self, architecture: str, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
        """Return the network; weights are drawn in the order in which the published code draws them."""
        stages = self._real_stages(self.parse(architecture))
        width, is_large = self._stem_width, self.naswot_quirks and self.block != "vanilla"
        stem = nn.Sequential(
            *conv_bn(in_channels, width, 7 if is_large else 3, 2 if self.naswot_quirks else 1), nn.ReLU(inplace=True)
        )
        if is_large:
            stem.append(nn.MaxPool2d(3, stride=2, padding=1))
        return AnyNet(stem, width, stages, _BLOCKS[self.block], num_classes)

    def validate(self, architecture: str) -> None:
        """Raise :class:`SpaceError` naming the list or the stage that is not of the space."""
        self.parse(architecture)

    def canonical(self, architecture: str) -> str:
        """Return the architecture in its canonical spelling: no two that are sampled compute the same function."""
        return self._format(self.parse(architecture))

    def graph(self, architecture: str) -> list[CellGraph]:
        """Return the chain of stages with their numbers."""
        labels = ["images", f"stem\n{self._stem_width} channels"]
        for number, stage in enumerate(self.parse(architecture), start=1):
            blocks = "1 block" if stage.depth == 1 else f"{stage.depth} blocks"
            lines = [f"stage {number}", blocks, f"width {stage.width}", f"stride {stage.stride}"]
            if self.bottlenecks:
                lines += [f"bottleneck {stage.bottleneck:g}", f"groups {self._real_groups(stage)}"]
            labels.append("\n".join(lines))
        return [chain_graph(f"network of {self.block} blocks", [*labels, "pooling,\nclassifier"])]

    def parse(self, architecture: str) -> Stages:
        """Read an architecture; any number of stages and any positive numbers are allowed, within the bounds.

        A SpaceError names the list or the stage, a TooLargeError the number that is too large.
        """
        fault = f"architecture {quoted(architecture)}"
        lists = self._lists(fault, architecture)
        lengths = {key: len(values) for key, values in lists.items()}
        if len(set(lengths.values())) != 1:
            counts = ", ".join(f"{key} has {length}" for key, length in lengths.items())
            raise SpaceError(f"{fault}: every list needs one number per stage, but {counts}")
        stages = tuple(
            _read_stage(f"{fault}, stage {number}", dict(zip(lists, texts, strict=True)))
            for number, texts in enumerate(zip(*lists.values(), strict=True), start=1)
        )
        for position, stage in enumerate(stages, start=1):
            at = f"{fault}, stage {position}"
            read_bounded(at, "width inside its blocks", str(stage.inner_width), MAX_WIDTH, "channels")
            if reason := self._group_fault(stage):
                raise SpaceError(f"{at}: {reason}")
        read_bounded(fault, "depth", str(sum(stage.depth for stage in stages)), MAX_BLOCKS, "blocks in all")
        expect_buildable(fault, self._params(stages))
        return stages

    def _params(self, stages: Stages) -> int:
        return estimate_stage_params(self._real_stages(stages), self._stem_width, bool(self.bottlenecks))

    def _real_stages(self, stages: Stages) -> Stages:
        return tuple(replace(stage, groups=self._real_groups(stage)) for stage in stages)

    @property
    def _stem_width(self) -> int:
        return QUIRKS_STEM_WIDTH if self.naswot_quirks else STEM_WIDTH

    def _lists(self, fault: str, architecture: str) -> dict[str, list[str]]:
        parts = [part.partition("=") for part in architecture.strip().split(";")]
        keys, written = self._keys(), [key for key, _, _ in parts]
        reasons = [
            f"the list {key!r} is written twice"
            if key in keys
            else f"the list {quoted(key)} is not one of {', '.join(keys)}{did_you_mean(key, keys, cutoff=0.5)}"
            for key in written
            if key not in keys or written.count(key) > 1
        ]
        reasons += [f"the list {key!r} is missing" for key in keys if key not in written]
        if reasons:
            example = self._format((Stage(1, 16, 1), Stage(2, 32, 2), Stage(3, 64, 2)))
            raise SpaceError(f"{fault}: {reasons[0]}; write it as {example}")
        return {key: values.split(",") for key, _, values in parts}

    def _group_fault(self, stage: Stage) -> str:
        """Return why the groups of a stage cannot be built, or nothing."""
        inner, groups = stage.inner_width, self._real_groups(stage)
        if self.bottlenecks and inner < 1:
            return f"a bottleneck of {stage.bottleneck:g} leaves no channel of {stage.width}"
        if self.bottlenecks and (groups < 1 or inner % groups):
            read = "channels per group" if self.naswot_quirks else "groups"
            return f"{inner} inner channels cannot be divided into {stage.groups} {read}"
        return ""

    def _real_groups(self, stage: Stage) -> int:
        return stage.inner_width // stage.groups if self.naswot_quirks and self.bottlenecks else stage.groups

    def _choices(self) -> dict[str, Sequence[float]]:
        choices: dict[str, Sequence[float]] = {"depth": self.depths, "width": self.widths}
        if self.bottlenecks:
            choices |= {"bottleneck": self.bottlenecks, "groups": self.groups}
        return choices

    def _keys(self) -> list[str]:
        return [key for key in _FIELDS if self.bottlenecks or key not in ("bm", "gs")]

    def _format(self, stages: Stages) -> str:
        lists = []
        for key in self._keys():
            values = [Decimal(repr(getattr(stage, _FIELDS[key]))).normalize() for stage in stages]
            lists.append(f"{key}={','.join(f'{value:f}' for value in values)}")
        return ";".join(lists)


def _read_stage(fault: str, texts: dict[str, str]) -> Stage:
    values: dict[str, float] = {}
    for key, text in texts.items():
        pattern = _DECIMAL if key == "bm" else _INTEGER
        if not pattern.fullmatch(text) or (key == "ss" and text not in ("1", "2")):
            expected = {"bm": "a positive decimal of at most 6 decimal places", "ss": "1 or 2"}
            raise SpaceError(
                f"{fault}: {quoted(text)} in the list {key!r} must be {expected.get(key, 'a positive integer')}"
            )
        if key == "bm" and float(text) > MAX_BOTTLENECK:
            raise TooLargeError(f"{fault}: a bottleneck of {quoted(text)}, expected at most {MAX_BOTTLENECK}")
        if key == "bm":
            values[_FIELDS[key]] = float(text)
        else:
            what, most, unit = _BOUNDS[key]
            values[_FIELDS[key]] = read_bounded(fault, what, text, most, unit)
    return Stage(**values)  # type: ignore[arg-type]


class VanillaSpace(StandardSpace):
    """Blocks of two 3x3 convolutions without shortcut: 108^3 = 1,259,712 networks.

    The NDS paper fixes the ends and the number of depths (1 to 24, 9) and of widths (16 to 256, 12).
    """

    name = "nds_vanilla"
    size = "108^3 = 1,259,712 networks"
    block = "vanilla"
    depths = (1, 2, 3, 4, 6, 8, 12, 16, 24)
    widths = (16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256)


class ResNetSpace(VanillaSpace):
    """The same with residual blocks: 108^3 = 1,259,712 networks."""

    name = "nds_resnet"
    block = "basic"


class ResNeXtASpace(StandardSpace):
    """Residual bottleneck blocks with few groups: 225^3 = 11,390,625 networks (ranges of the NDS paper)."""

    name = "nds_resnext_a"
    size = "225^3 = 11,390,625 networks"
    block = "bottleneck"
    depths = (1, 2, 4, 8, 16)
    widths = (16, 32, 64, 128, 256)
    bottlenecks = (1.0, 0.5, 0.25)
    groups: ClassVar[tuple[int, ...]] = (1, 2, 4)


class ResNeXtBSpace(ResNeXtASpace):
    """The same, wider and with more groups: 375^3 = 52,734,375 networks (ranges of the NDS paper)."""

    name = "nds_resnext_b"
    size = "375^3 = 52,734,375 networks"
    widths = (64, 128, 256, 512, 1024)
    groups = (1, 2, 4, 8, 16)


# From stage, input channels and stride to one block.
Block = Callable[[Stage, int, int], nn.Module]


class AnyNet(nn.Sequential):
    """The network of pycls: a stem of ``stem_width`` channels, stages of blocks, a classifier.

    Images (N, 3, H, W) to logits (N, num_classes). Modules are made in the order of the published code, so that the
    same generator draws the same weights.
    """

    def __init__(
        self, stem: nn.Module, stem_width: int, stages: tuple[Stage, ...], block: Block, num_classes: int
    ) -> None:
        stage_blocks, channels = nn.Sequential(), stem_width
        for stage in stages:
            blocks = [block(stage, channels, stage.stride)]
            blocks += [block(stage, stage.width, 1) for _ in range(stage.depth - 1)]
            stage_blocks.append(nn.Sequential(*blocks))
            channels = stage.width
        pool, classifier = GlobalAveragePool(), nn.Linear(channels, num_classes)
        super().__init__(OrderedDict(stem=stem, stages=stage_blocks, pool=pool, classifier=classifier))
        draw_he_weights(self)


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


def vanilla_block(stage: Stage, c_in: int, stride: int) -> nn.Module:
    """Return two of 3x3 convolution, BatchNorm, ReLU, without shortcut."""
    first, second = conv_bn(c_in, stage.width, 3, stride), conv_bn(stage.width, stage.width, 3)
    return nn.Sequential(*first, nn.ReLU(inplace=True), *second, nn.ReLU(inplace=True))


def basic_block(stage: Stage, c_in: int, stride: int) -> nn.Module:
    """Return the residual block of two 3x3 convolutions."""
    shortcut = projection(c_in, stage.width, stride)
    first, second = conv_bn(c_in, stage.width, 3, stride), conv_bn(stage.width, stage.width, 3)
    return ResidualBlock(shortcut, nn.Sequential(*first, nn.ReLU(inplace=True), *second))


def bottleneck_block(stage: Stage, c_in: int, stride: int) -> nn.Module:
    """Return the residual block of 1x1, grouped 3x3 (with the stride) and 1x1 convolutions."""
    inner = stage.inner_width
    shortcut = projection(c_in, stage.width, stride)
    first, second = conv_bn(c_in, inner, 1), conv_bn(inner, inner, 3, stride, stage.groups)
    third = conv_bn(inner, stage.width, 1)
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
    return nn.Sequential(*conv_bn(c_in, c_out, 1, stride))


_BLOCKS: dict[str, Block] = {"vanilla": vanilla_block, "basic": basic_block, "bottleneck": bottleneck_block}
