"""The size space of NATS-Bench (Dong et al., 2021): 32,768 networks of one cell, apart in their widths.

An architecture is five widths out of 8, 16, ..., 64, ``c1:c2:c3:c4:c5``: of the stem and the first cell, the
first reduction, the second cell, the second reduction and the third cell. The cell is always :data:`CELL`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from naswot_lightning.spaces.base import Complexity, ListedChoices
from naswot_lightning.spaces.errors import SpaceError, quoted
from naswot_lightning.spaces.graph import CellGraph, chain_graph
from naswot_lightning.spaces.layers import GlobalAveragePool, ReLUConvBN, conv_bn
from naswot_lightning.spaces.nasbench201 import EDGES, ReductionBlock, graph_of_cell, parse_cell

WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)
POSITIONS = ("stem and first cell", "first reduction", "second cell", "second reduction", "third cell")
# The best cell of NAS-Bench-201 on the validation set of CIFAR-100.
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"

Widths = tuple[int, int, int, int, int]


class NATSSize(ListedChoices):
    """The size space of NATS-Bench: three cells of :data:`CELL` with reductions between, five free widths."""

    name = "nats_size"
    skeleton = "3 cells of one kind, a reduction between each two"
    made_for = "32x32: CIFAR-10, CIFAR-100; 16x16: ImageNet16-120"
    source = "Dong et al. 2021"
    choices = (tuple(map(str, WIDTHS)),) * len(POSITIONS)
    evidence = (
        "model size ranks it far better than naswot does, --score diversity better than both. "
        "Kendall's tau with validation accuracy on CIFAR-10 / "
        "CIFAR-100 / ImageNet16-120 over 1,500 random architectures (95 % intervals of 0.02 to 0.06), 128 CIFAR-10 "
        "images: parameters .698 / .535 / .652, MACs .430 / .195 / .371, naswot .427 / .194 / .371, --score robust "
        ".812 / .674 / .785, --score diversity .784 / .778 / .840 (16 images), chosen without this space .742 / "
        ".776 / .838."
    )

    def build(self, architecture: str, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
        """Return the network; weights are drawn in the order in which the benchmark's code draws them."""
        return SizeNetwork(parse_widths(architecture), num_classes, in_channels)

    def canonical(self, architecture: str) -> str:
        """Return the five widths: no two different lists of them compute the same function."""
        return ":".join(map(str, parse_widths(architecture)))

    def complexity(
        self, architecture: str, num_classes: int = 10, in_channels: int = 3, image_size: int = 32
    ) -> Complexity:
        """Return parameters and MACs in closed form, for image sizes divisible by 4: the network takes no others."""
        c1, c2, c3, c4, c5 = parse_widths(architecture)
        # Weights by stage; each reduction quarters the image plane.
        convolutions = (
            9 * in_channels * c1 + _cell_weights(c1, c1),
            _reduction_weights(c1, c2) + _cell_weights(c2, c3),
            _reduction_weights(c3, c4) + _cell_weights(c4, c5),
        )
        # BatchNorms: stem, five or six a cell (the sixth after a widening skip), two a reduction, head.
        norms = c1 + 5 * (c1 + c3 + c5) + c3 * (c2 != c3) + c5 * (c4 != c5) + 2 * (c2 + c4) + c5
        linear = (c5 + 1) * num_classes
        pixels = image_size * image_size
        macs = sum(weights * (pixels >> 2 * stage) for stage, weights in enumerate(convolutions))
        return Complexity(sum(convolutions) + 2 * norms + linear, macs + linear)

    def graph(self, architecture: str) -> list[CellGraph]:
        """Return the network with its widths, and the cell that it repeats."""
        c1, c2, c3, c4, c5 = parse_widths(architecture)
        blocks = [("stem", c1), ("cell", c1), ("reduction", c2), ("cell", c3), ("reduction", c4), ("cell", c5)]
        labels = [f"{block}\n{width} channels" for block, width in blocks]
        network = chain_graph("network", ["images", *labels, "pooling,\nclassifier"])
        return [network, graph_of_cell(parse_cell(CELL))]

    def decisions(self, architecture: str) -> tuple[int, ...]:
        """Return each width, as its position in :data:`WIDTHS`."""
        return tuple(map(WIDTHS.index, parse_widths(architecture)))

    def from_decisions(self, decisions: Sequence[int]) -> str:
        """Return the architecture of these widths."""
        return ":".join(str(WIDTHS[decision]) for decision in decisions)


def parse_widths(architecture: str) -> Widths:
    """Read ``c1:c2:c3:c4:c5`` into five widths; a SpaceError names a fault."""
    texts = architecture.strip().split(":")
    if len(texts) != len(POSITIONS):
        raise SpaceError(
            f"architecture {quoted(architecture)}: expected {len(POSITIONS)} widths joined by ':', found {len(texts)}; "
            f"write it as 8:16:32:48:64"
        )
    for number, (text, position) in enumerate(zip(texts, POSITIONS, strict=True), start=1):
        if text not in NATSSize.choices[0]:
            raise SpaceError(
                f"architecture {quoted(architecture)}, width {number} ({position}): {quoted(text)}, "
                f"expected one of {', '.join(NATSSize.choices[0])}"
            )
    c1, c2, c3, c4, c5 = map(int, texts)
    return c1, c2, c3, c4, c5


def _cell_weights(c_in: int, c_out: int) -> int:
    """Return the convolution weights of a cell: two 3x3 from its input, three within, a skip where it widens."""
    return 18 * c_in * c_out + 27 * c_out * c_out + (c_in * c_out if c_in != c_out else 0)


def _reduction_weights(c_in: int, c_out: int) -> int:
    return 9 * c_in * c_out + 9 * c_out * c_out + c_in * c_out


class SizeNetwork(nn.Sequential):
    """Stem, cell, reduction, cell, reduction, cell, classifier.

    Images (N, in_channels, H, W), H and W divisible by 4, to logits (N, num_classes).
    """

    def __init__(self, widths: Widths, num_classes: int, in_channels: int = 3) -> None:
        c1, c2, c3, c4, c5 = widths
        stem = nn.Sequential(*conv_bn(in_channels, c1, 3))
        cells = nn.Sequential(
            SizeCell(c1, c1), ReductionBlock(c1, c2), SizeCell(c2, c3), ReductionBlock(c3, c4), SizeCell(c4, c5)
        )
        head = nn.Sequential(nn.BatchNorm2d(c5), nn.ReLU(inplace=True), GlobalAveragePool())
        super().__init__(OrderedDict(stem=stem, cells=cells, head=head, classifier=nn.Linear(c5, num_classes)))


class SizeCell(nn.Module):
    """:data:`CELL` from one width to another: (N, c_in, H, W) to (N, c_out, H, W).

    Edges that leave node 0 change the width.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList()
        for edge in EDGES:
            if edge == (0, 3):
                # Between two widths the benchmark's FactorizedReduce at stride 1, whose forward pass calls no ReLU.
                self.edges.append(nn.Identity() if c_in == c_out else nn.Sequential(*conv_bn(c_in, c_out, 1)))
            else:
                self.edges.append(ReLUConvBN(c_in if edge[0] == 0 else c_out, c_out, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return node 3."""
        edge_01, edge_02, edge_12, edge_03, edge_13, edge_23 = self.edges
        node_1 = edge_01(x)
        node_2 = edge_02(x) + edge_12(node_1)
        return edge_03(x) + edge_13(node_1) + edge_23(node_2)
