"""The plan of a network of NDS cells, and how many parameters it has, before any module is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from spaces.nds.genotype import CELL_INPUTS, Cell, CellArchitecture

# Weights of an operation's convolutions across channels, as a multiple of channels^2; the others have none.
SQUARES = {
    "conv_1x1": 1, "conv_3x3": 9, "conv_3x1_1x3": 6, "conv_7x1_1x7": 14, "sep_conv_3x3": 2, "sep_conv_5x5": 2,
    "sep_conv_7x7": 2, "dil_conv_3x3": 1, "dil_conv_5x5": 1, "dil_sep_conv_3x3": 2,
}  # fmt: skip


class PlannedCell(NamedTuple):
    """One cell of a network.

    Attributes:
        cell: its edges and output.
        before: channels of the cell before the previous one.
        previous: channels of the previous cell.
        width: channels of a node.
        reduces: it halves the image.
    """

    cell: Cell
    before: int
    previous: int
    width: int
    reduces: bool

    @property
    def channels(self) -> int:
        """Channels of its output."""
        return len(self.cell.concat) * self.width


def planned_cells(architecture: CellArchitecture) -> Iterator[PlannedCell]:
    """Yield the cells of a network; cells number L // 3 and 2 * L // 3 reduce and double the width."""
    depth, width = architecture.depth, architecture.width
    before = previous = stem_channels(architecture)
    for position in range(depth):
        reduces = position in (depth // 3, 2 * depth // 3)
        width *= 1 + reduces
        planned = PlannedCell(architecture.reduce if reduces else architecture.normal, before, previous, width, reduces)
        yield planned
        before, previous = previous, planned.channels


def stem_channels(architecture: CellArchitecture) -> int:
    """Return the channels of both inputs of the first cell."""
    return architecture.width if architecture.imagenet else 3 * architecture.width


def estimated_params(architecture: CellArchitecture) -> int:
    """Return the weights across channels: all but those of BatchNorm, depthwise convolutions, stem and classifier."""
    squares = {
        cell: sum(SQUARES.get(op, 0) for op, _ in cell.edges) for cell in (architecture.normal, architecture.reduce)
    }
    return sum(
        planned.width * (planned.before + planned.previous + squares[planned.cell] * planned.width)
        for planned in planned_cells(architecture)
    )


def largest(ops: tuple[str, ...], nodes: int, width: int, depth: int) -> CellArchitecture:
    """Return the network of most parameters: the costliest operation on every edge, all nodes concatenated."""
    costliest = max(ops, key=lambda op: SQUARES.get(op, 0))
    states = range(CELL_INPUTS, CELL_INPUTS + nodes)
    cell = Cell(tuple((costliest, 0) for _ in range(2 * nodes)), tuple(states))
    return CellArchitecture(cell, cell, width, depth)
