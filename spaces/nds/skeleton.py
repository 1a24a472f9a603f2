"""The network around NDS cells: stem, cells, auxiliary head, classifier (Radosavovic et al., 2019; DARTS).

Modules are made in the order of the published code, so that the same generator draws the same weights.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from spaces.layers import GlobalAveragePool, ReLUConvBN
from spaces.nds.canonical import live_nodes
from spaces.nds.genotype import Cell, CellArchitecture
from spaces.nds.operations import FactorizedReduce, operation
from spaces.nds.size import planned_cells


class TrainingOutput(NamedTuple):
    """What a network with an auxiliary head returns while it trains, each (N, num_classes)."""

    logits: Tensor
    auxiliary: Tensor


class Skeleton(nn.Module):
    """A network of cells; cells number L // 3 and 2 * L // 3 halve the image and double the width.

    Images (N, in_channels, H, W) to logits (N, num_classes). While the network trains, and its architecture
    has an auxiliary head, it returns (logits, auxiliary logits).

    Attributes:
        drop_path: probability of drop path while training; set it to follow a schedule.
    """

    def __init__(self, architecture: CellArchitecture, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.drop_path = architecture.drop_path
        stem = ImageNetStem if architecture.imagenet else CifarStem
        self.stem = stem(in_channels, architecture.width)
        self.tapped = 2 * architecture.depth // 3  # the cell whose output feeds the auxiliary head
        self.cells, channels = _cells(architecture)
        self.auxiliary_head = (
            AuxiliaryHead(channels[self.tapped], num_classes, architecture.imagenet) if architecture.auxiliary else None
        )
        self.pool = GlobalAveragePool()
        self.classifier = nn.Linear(channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """Return the logits, with the auxiliary logits while training."""
        before, previous = self.stem(images)
        auxiliary = None
        drop_path = self.drop_path if self.training else 0.0
        for position, cell in enumerate(self.cells):
            before, previous = previous, cell(before, previous, drop_path)
            if self.training and self.auxiliary_head is not None and position == self.tapped:
                auxiliary = self.auxiliary_head(previous)
        logits = self.classifier(self.pool(previous))
        return logits if auxiliary is None else TrainingOutput(logits, auxiliary)


def _cells(architecture: CellArchitecture) -> tuple[nn.ModuleList, list[int]]:
    """Return the cells and the output channels of each."""
    after_reduction = architecture.imagenet  # both stems differ by a factor 2 in size
    cells = nn.ModuleList()
    planned = list(planned_cells(architecture))
    for cell, before, previous, width, reduces in planned:
        cells.append(CellModule(cell, before, previous, width, reduces, after_reduction))
        after_reduction = reduces
    return cells, [cell.channels for cell in planned]


class CellModule(nn.Module):
    """One cell of two inputs, (N, c_before, ..) and (N, c_previous, H, W), to (N, len(concat) * width, H', W').

    H' is H, or H / 2 where the cell reduces. Nodes that do not reach the output are built, as in the published
    code, but not run.

    Args:
        cell: edges and output.
        c_before: channels of the cell before the previous one.
        c_previous: channels of the previous cell.
        width: channels of a node.
        reduces: edges from the cell's inputs have stride 2.
        after_reduction: the previous cell reduced, so that its input is twice as large as its output.
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
            operation(op, width, stride=2 if reduces and source < 2 else 1) for op, source in cell.edges
        )

    def forward(self, before: Tensor, previous: Tensor, drop_path: float = 0.0) -> Tensor:
        """Return the concatenation of the output nodes."""
        states = {0: self.preprocess_before(before), 1: self.preprocess_previous(previous)}
        for state in self.cell.nodes:
            if state in self.live:
                first = 2 * (state - 2)
                terms = [self._edge(edge, states, drop_path) for edge in (first, first + 1)]
                states[state] = terms[0] + terms[1]
        return torch.cat([states[state] for state in self.cell.concat], dim=1)

    def _edge(self, edge: int, states: dict[int, Tensor], drop_path: float) -> Tensor:
        module = self.operations[edge]
        output = module(states[self.cell.edges[edge][1]])
        if drop_path > 0.0 and not isinstance(module, nn.Identity):
            return dropped_path(output, drop_path)
        return output


def dropped_path(x: Tensor, probability: float) -> Tensor:
    """Set whole samples of ``x``, (N, C, H, W), to zero with ``probability``, and scale the others up."""
    kept = torch.empty(x.shape[0], 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(1.0 - probability)
    return x * kept / (1.0 - probability)


class CifarStem(nn.Module):
    """Images (N, in_channels, H, W) to twice the same (N, 3 * width, H, W)."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.channels = 3 * width
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, self.channels, 3, padding=1, bias=False), nn.BatchNorm2d(self.channels)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return both inputs of the first cell."""
        stem = self.layers(images)
        return stem, stem


class ImageNetStem(nn.Module):
    """Images (N, in_channels, H, W) to (N, width, H / 4, W / 4) and (N, width, H / 8, W / 8)."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.channels = width
        self.quarter = nn.Sequential(
            nn.Conv2d(in_channels, width // 2, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        # The ReLU is not in place, unlike the published one: its input is the other input of the first cell.
        # Both compute the same, since that cell begins with a ReLU.
        self.eighth = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return both inputs of the first cell."""
        quarter = self.quarter(images)
        return quarter, self.eighth(quarter)


class AuxiliaryHead(nn.Module):
    """A second classifier on the cell two thirds of the way: (N, c_in, H, W) to logits (N, num_classes).

    Args:
        c_in: channels of that cell.
        num_classes: of the data set.
        imagenet: made for 7x7 feature maps (224x224 images), otherwise for 8x8 (32x32 images).
    """

    def __init__(self, c_in: int, num_classes: int, imagenet: bool) -> None:
        super().__init__()
        self.made_for = "7x7 (224x224 images)" if imagenet else "8x8 (32x32 images)"
        self.stride = 2 if imagenet else 3
        self.features = nn.Sequential(
            nn.ReLU(),  # not in place: the next cell reads the same tensor
            nn.AvgPool2d(5, self.stride, count_include_pad=False),  # to 2x2
            nn.Conv2d(c_in, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 768, 2, bias=False),  # to 1x1
            # The published ImageNet head has no BatchNorm here.
            nn.Identity() if imagenet else nn.BatchNorm2d(768),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the auxiliary logits.

        Raises:
            ValueError: the feature maps have another size than the head is made for.
        """
        if any((side - 5) // self.stride != 1 for side in x.shape[2:]):
            found = "x".join(map(str, x.shape[2:]))
            raise ValueError(
                f"the auxiliary head is made for feature maps of {self.made_for}, not {found}: "
                "use images of that size, or an architecture without '-aux'"
            )
        return self.classifier(self.features(x).flatten(1))
