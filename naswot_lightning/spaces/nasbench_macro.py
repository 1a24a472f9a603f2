"""NAS-Bench-Macro (Su et al., 2021): 6,561 networks of eight layers, each an identity or one of two MBConvs.

An architecture is a digit per layer, ``01201201``: 0 an identity, 1 an MBConv of kernel 3 and expansion 3, 2 one of
kernel 5 and expansion 6 (inverted residuals: Sandler et al., 2018). Stages have 2, 3 and 3 layers; the first of each
halves the image and widens it, so that its identity is a 1x1 convolution there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from naswot_lightning.spaces.base import Complexity, ListedChoices
from naswot_lightning.spaces.errors import SpaceError, quoted
from naswot_lightning.spaces.graph import CellGraph, chain_graph
from naswot_lightning.spaces.layers import GlobalAveragePool, conv_bn

OPS = ("identity", "MBConv 3x3, expansion 3", "MBConv 5x5, expansion 6")
# Kernel and expansion of each.
_KERNELS, _EXPANSIONS = (1, 3, 5), (0, 3, 6)
STAGES = (2, 3, 3)
LAYERS = sum(STAGES)
STEM_WIDTH, WIDTHS, HEAD_WIDTH = 32, (64, 128, 256), 1_280


class NASBenchMacro(ListedChoices):
    """The networks of NAS-Bench-Macro, in the order of their keys."""

    name = "nasbench_macro"
    skeleton = "3 stages of 2, 3, 3 layers, 64-128-256 channels, each at stride 2"
    made_for = "32x32: CIFAR-10"
    source = "Su et al. 2021"
    choices = (OPS,) * LAYERS
    evidence = (
        "naswot ranks it better than model size does, --score diversity better than both. Kendall's tau with test "
        "accuracy over 600 random networks, 16 CIFAR-10 images: MACs .578, naswot .724, --score diversity .781 "
        "[.760, .800], chosen without this space .781 [.759, .799]; --score robust .576 [.537, .610] (64 images)."
    )

    def build(self, architecture: str, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
        """Return the network: images (N, in_channels, H, W) to logits (N, num_classes)."""
        layers: list[nn.Module] = []
        for op, c_in, c_out, stride in _layers(self.decisions(architecture)):
            if op:
                layers.append(MBConv(c_in, c_out, _KERNELS[op], _EXPANSIONS[op], stride))
            else:
                layers.append(nn.Identity() if stride == 1 else nn.Sequential(*conv_bn(c_in, c_out, 1, stride)))
        return nn.Sequential(
            OrderedDict(
                stem=nn.Sequential(*conv_bn(in_channels, STEM_WIDTH, 3), nn.ReLU(inplace=True)),
                layers=nn.Sequential(*layers),
                head=nn.Sequential(*conv_bn(WIDTHS[-1], HEAD_WIDTH, 1), nn.ReLU(inplace=True), GlobalAveragePool()),
                classifier=nn.Linear(HEAD_WIDTH, num_classes),
            )
        )

    def canonical(self, architecture: str) -> str:
        """Return the key with the true identities last in their stage, where they make no difference: 3,969 of them."""
        ops, canonical, start = self.decisions(architecture), [], 0
        for length in STAGES:
            first, *rest = ops[start : start + length]
            canonical += [first, *sorted(rest, key=lambda op: op == 0)]
            start += length
        return self.from_decisions(canonical)

    def complexity(
        self, architecture: str, num_classes: int = 10, in_channels: int = 3, image_size: int = 32
    ) -> Complexity:
        """Return parameters and MACs in closed form."""
        side, linear = image_size, (HEAD_WIDTH + 1) * num_classes
        params = 9 * in_channels * STEM_WIDTH + 2 * STEM_WIDTH
        macs = 9 * in_channels * STEM_WIDTH * side**2
        for op, c_in, c_out, stride in _layers(self.decisions(architecture)):
            before, side = side, -(-side // stride)
            inner = _EXPANSIONS[op] * c_in
            # The last convolution of a layer; an identity that changes nothing has none.
            projection = c_out * (inner or c_in) if inner or stride > 1 else 0
            depthwise = _KERNELS[op] ** 2 * inner
            params += c_in * inner + depthwise + projection + 2 * (2 * inner + (c_out if projection else 0))
            macs += c_in * inner * before**2 + (depthwise + projection) * side**2
        head = WIDTHS[-1] * HEAD_WIDTH
        return Complexity(params + head + 2 * HEAD_WIDTH + linear, macs + head * side**2 + linear)

    def graph(self, architecture: str) -> list[CellGraph]:
        """Return the chain of layers with their channels."""
        layers = _layers(self.decisions(architecture))
        labels = ["\n".join((*OPS[op].split(", "), f"{c_out} channels", f"stride {s}")) for op, _, c_out, s in layers]
        stem, head = f"stem\n{STEM_WIDTH} channels", f"1x1 convolution\n{HEAD_WIDTH} channels"
        return [chain_graph("network", ["images", stem, *labels, head, "pooling,\nclassifier"])]

    def decisions(self, architecture: str) -> tuple[int, ...]:
        """Return the operation of each layer, as its position in :data:`OPS`."""
        key = architecture.strip()
        if len(key) != LAYERS:
            raise SpaceError(f"architecture {quoted(key)}: expected {LAYERS} digits, found {len(key)}")
        for layer, digit in enumerate(key, start=1):
            if digit not in "012":
                raise SpaceError(f"architecture {quoted(key)}, layer {layer}: {digit!r}, expected 0, 1 or 2")
        return tuple(map(int, key))

    def from_decisions(self, decisions: Sequence[int]) -> str:
        """Return the key of these operations."""
        return "".join(map(str, decisions))


class _Layer(NamedTuple):
    op: int
    c_in: int
    c_out: int
    stride: int


def _layers(ops: Sequence[int]) -> Iterator[_Layer]:
    width, remaining = STEM_WIDTH, iter(ops)
    for length, wider in zip(STAGES, WIDTHS, strict=True):
        for position in range(length):
            yield _Layer(next(remaining), width, wider, 1 if position else 2)
            width = wider


class MBConv(nn.Module):
    """Inverted residual: (N, c_in, H, W) to (N, c_out, H / stride, W / stride), with a skip where the shape is kept."""

    def __init__(self, c_in: int, c_out: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = expansion * c_in
        self.layers = nn.Sequential(
            *conv_bn(c_in, inner, 1),
            nn.ReLU(inplace=True),
            *conv_bn(inner, inner, kernel, stride, groups=inner),
            nn.ReLU(inplace=True),
            *conv_bn(inner, c_out, 1),
        )
        self.has_skip = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Return the layers, plus the input where there is a skip."""
        return self.layers(x).add_(x) if self.has_skip else self.layers(x)
