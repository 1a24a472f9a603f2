"""The network of NDS cells (Radosavovic et al., 2019; pycls, DARTS): operations, cells, stem, heads.

Modules are made in the order of the published code, so that the same generator draws the same weights. ReLUs of
operations are not in place, since one tensor feeds several edges. BatchNorm follows convolutions, not pooling. No
class here holds "ReLU" in its name: the published scoring code counts by class name, and counts none of these
wrappers beside the ReLUs inside them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naswot_lightning.spaces.layers import GlobalAveragePool, ReLUConvBN, Zero, conv_bn
from naswot_lightning.spaces.nds.genotype import Cell, CellArchitecture, live_nodes, planned_cells


class TrainingOutput(NamedTuple):
    """What a network with an auxiliary head returns while it trains, each (N, num_classes)."""

    logits: Tensor
    auxiliary: Tensor


class NDSNetwork(nn.Module):
    """A network of cells; cells number L // 3 and 2 * L // 3 halve the image and double the width.

    Images (N, in_channels, H, W) to logits (N, num_classes). While the network trains, and its architecture
    has an auxiliary head, it returns (logits, auxiliary logits).
    """

    def __init__(self, architecture: CellArchitecture, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.drop_path = architecture.drop_path
        """Probability of drop path while training; set it to follow a schedule."""
        stem = ImageNetStem if architecture.imagenet else CifarStem
        self.stem = stem(in_channels, architecture.width)
        # The cell whose output feeds the auxiliary head.
        self.tapped = 2 * architecture.depth // 3
        planned = list(planned_cells(architecture))
        self.cells = nn.ModuleList()
        # Both stems differ by a factor 2 in size.
        after_reduction = architecture.imagenet
        for cell, before, previous, width, reduces in planned:
            self.cells.append(NDSCell(cell, before, previous, width, reduces, after_reduction))
            after_reduction = reduces
        self.auxiliary_head = None
        if architecture.auxiliary:
            self.auxiliary_head = AuxiliaryHead(planned[self.tapped].channels, num_classes, architecture.imagenet)
        self.pool = GlobalAveragePool()
        self.classifier = nn.Linear(planned[-1].channels, num_classes)

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """Return the logits, with the auxiliary logits while training."""
        # Each cell sees the two before it.
        before, previous = self.stem(images)
        auxiliary = None
        drop_path = self.drop_path if self.training else 0.0
        for position, cell in enumerate(self.cells):
            before, previous = previous, cell(before, previous, drop_path)
            if self.training and self.auxiliary_head is not None and position == self.tapped:
                auxiliary = self.auxiliary_head(previous)
        logits = self.classifier(self.pool(previous))
        return logits if auxiliary is None else TrainingOutput(logits, auxiliary)


class NDSCell(nn.Module):
    """One cell of two inputs, (N, c_before, ..) and (N, c_previous, H, W), to (N, len(concat) * width, H', W').

    H' is H, or H / 2 where the cell reduces. Nodes that do not reach the output are built, as in the published
    code, but not run.

    A node has ``width`` channels. Where the cell ``reduces``, edges from its inputs have stride 2; ``after_reduction``
    says the same of the cell before it, whose input is then twice as large as its output.
    """

    def __init__(
        self, cell: Cell, c_before: int, c_previous: int, width: int, reduces: bool, after_reduction: bool
    ) -> None:
        super().__init__()
        self.cell = cell
        self.live = live_nodes(cell, through_none=True)
        self.preprocess_before = (
            FactorizedReduce(c_before, width) if after_reduction else ReLUConvBN(c_before, width, 1)
        )
        self.preprocess_previous = ReLUConvBN(c_previous, width, 1)
        self.operations = nn.ModuleList(
            OPERATIONS[op](width, 2 if reduces and source < 2 else 1) for op, source in cell.edges
        )

    def forward(self, before: Tensor, previous: Tensor, drop_path: float = 0.0) -> Tensor:
        """Return the concatenation of the output nodes."""
        states = {0: self.preprocess_before(before), 1: self.preprocess_previous(previous)}
        for state in self.cell.nodes:
            if state in self.live:
                first = 2 * (state - 2)
                terms = []
                for edge in (first, first + 1):
                    module = self.operations[edge]
                    terms.append(module(states[self.cell.edges[edge][1]]))
                    # The identity is spared, as in the published code.
                    if drop_path > 0.0 and not isinstance(module, nn.Identity):
                        terms[-1] = dropped_path(terms[-1], drop_path)
                states[state] = terms[0] + terms[1]
        return torch.cat([states[state] for state in self.cell.concat], dim=1)


def dropped_path(x: Tensor, probability: float) -> Tensor:
    """Set whole samples of ``x``, (N, C, H, W), to zero with ``probability``, and scale the others up."""
    # (N, 1, 1, 1): one draw per sample.
    shape = x.shape[0], 1, 1, 1
    if torch.compiler.is_compiling():
        # bernoulli_ is compiled anew for each probability, until after five epochs the network is compiled no more.
        kept = (torch.rand(shape, device=x.device) >= probability).to(x.dtype)
    else:
        kept = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(1.0 - probability)
    return x * kept / (1.0 - probability)


class CifarStem(nn.Module):
    """Images (N, in_channels, H, W) to twice the same (N, 3 * width, H, W)."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*conv_bn(in_channels, 3 * width, 3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return both inputs of the first cell."""
        stem = self.layers(images)
        return stem, stem


class ImageNetStem(nn.Module):
    """Images (N, in_channels, H, W) to (N, width, H / 4, W / 4) and (N, width, H / 8, W / 8)."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.quarter = nn.Sequential(
            *conv_bn(in_channels, width // 2, 3, 2), nn.ReLU(inplace=True), *conv_bn(width // 2, width, 3, 2)
        )
        # The ReLU is not in place, unlike the published one: its input is the other input of the first cell.
        # Both compute the same, since that cell begins with a ReLU.
        self.eighth = nn.Sequential(nn.ReLU(), *conv_bn(width, width, 3, 2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return both inputs of the first cell."""
        quarter = self.quarter(images)
        return quarter, self.eighth(quarter)


class AuxiliaryHead(nn.Module):
    """A second classifier on the cell two thirds of the way: (N, c_in, H, W) to logits (N, num_classes).

    ``imagenet`` makes it for 7x7 feature maps (224x224 images), otherwise it is for 8x8 (32x32 images).
    """

    def __init__(self, c_in: int, num_classes: int, imagenet: bool) -> None:
        super().__init__()
        self.made_for = "7x7 (224x224 images)" if imagenet else "8x8 (32x32 images)"
        self.stride = 2 if imagenet else 3
        self.features = nn.Sequential(
            # Not in place: the next cell reads the same tensor.
            nn.ReLU(),
            # To 2x2.
            nn.AvgPool2d(5, self.stride, count_include_pad=False),
            nn.Conv2d(c_in, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            # To 1x1.
            nn.Conv2d(128, 768, 2, bias=False),
            # The published ImageNet head has no BatchNorm here.
            nn.Identity() if imagenet else nn.BatchNorm2d(768),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the auxiliary logits; feature maps of a size that the head is not made for are a ValueError."""
        if any((side - 5) // self.stride != 1 for side in x.shape[2:]):
            found = "x".join(map(str, x.shape[2:]))
            raise ValueError(
                f"the auxiliary head is made for feature maps of {self.made_for}, not {found}: "
                "use images of that size, or an architecture without '-aux'"
            )
        return self.classifier(self.features(x).flatten(1))


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
        # Zeros beyond the last row and column.
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.bn(torch.cat([self.even(x), self.odd(shifted)], dim=1))


class SubsampledZero(nn.Module):
    """The operation ``none`` at stride 2: zeros with a gradient path, as in the published code."""

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros of half the height and width of ``x``."""
        return x[:, :, ::2, ::2] * 0.0


def _conv(channels: int, stride: int, kernel_size: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), *conv_bn(channels, channels, kernel_size, stride))


def _factorized_conv(channels: int, stride: int, kernel_size: int) -> nn.Module:
    """Return 1 x k then k x 1, with one ReLU before and one BatchNorm after."""
    padding = kernel_size // 2
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, (1, kernel_size), (1, stride), (0, padding), bias=False),
        nn.Conv2d(channels, channels, (kernel_size, 1), (stride, 1), (padding, 0), bias=False),
        nn.BatchNorm2d(channels),
    )


def _separable(channels: int, stride: int, kernel_size: int, repeats: int = 2, dilation: int = 1) -> nn.Module:
    """Return (ReLU, depthwise k x k, 1x1, BatchNorm) ``repeats`` times, the first with the stride."""
    padding = dilation * (kernel_size // 2)
    layers: list[nn.Module] = []
    for step in [stride] + [1] * (repeats - 1):
        layers += [
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size, step, padding, dilation, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        ]
    return nn.Sequential(*layers)


# From a name to what makes the untrained operation of channels C and stride: to (N, C, H / stride, W / stride).
# ``nn.Identity``, and nothing else, is the identity: drop path spares it.
OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": lambda _, stride: Zero() if stride == 1 else SubsampledZero(),
    "skip_connect": lambda width, stride: nn.Identity() if stride == 1 else FactorizedReduce(width, width),
    "avg_pool_3x3": lambda _, stride: nn.AvgPool2d(3, stride, padding=1, count_include_pad=False),
    "max_pool_3x3": lambda _, stride: nn.MaxPool2d(3, stride, padding=1),
    "max_pool_5x5": lambda _, stride: nn.MaxPool2d(5, stride, padding=2),
    "max_pool_7x7": lambda _, stride: nn.MaxPool2d(7, stride, padding=3),
    "conv_1x1": partial(_conv, kernel_size=1),
    "conv_3x3": partial(_conv, kernel_size=3),
    "conv_3x1_1x3": partial(_factorized_conv, kernel_size=3),
    "conv_7x1_1x7": partial(_factorized_conv, kernel_size=7),
    "sep_conv_3x3": partial(_separable, kernel_size=3),
    "sep_conv_5x5": partial(_separable, kernel_size=5),
    "sep_conv_7x7": partial(_separable, kernel_size=7),
    "dil_conv_3x3": partial(_separable, kernel_size=3, repeats=1, dilation=2),
    "dil_conv_5x5": partial(_separable, kernel_size=5, repeats=1, dilation=2),
    "dil_sep_conv_3x3": partial(_separable, kernel_size=3, dilation=2),
}
