"""NAS-Bench-201 (Dong & Yang, 2020), the topology space of NATS-Bench: 15,625 cells.

A cell is a graph of four nodes, 0 the input and 3 the output, with one operation on each of its six edges;
a node is the sum of its transformed inputs. An architecture is the cell written node by node::

    |nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|

reads: node 1 is a 3x3 convolution of node 0; node 2 is node 1; node 3 is the sum of average-pooled node 0,
a 1x1 convolution of node 1, and node 2.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from naswot_lightning.spaces.base import Complexity, ListedChoices
from naswot_lightning.spaces.errors import SpaceError, did_you_mean, quoted
from naswot_lightning.spaces.graph import CellGraph, cell_graph
from naswot_lightning.spaces.layers import GlobalAveragePool, ReLUConvBN, Zero, conv_bn

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# Source and target, in the order of the string.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CHANNELS, STAGES, CELLS_PER_STAGE = 16, 3, 5

# As NASLib writes a cell: its operations by number, on the edges in another order.
_NASLIB = re.compile(r"\(\s*[0-4](\s*,\s*[0-4]){5}\s*\)")
_NASLIB_OPS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_NASLIB_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))

# One operation per edge, in the order of EDGES.
Cell = tuple[str, ...]


class NASBench201(ListedChoices):
    """The cells of NAS-Bench-201 in its skeleton of 3 stages x 5 cells, 16-32-64 channels."""

    name = "nasbench201"
    skeleton = "3 stages x 5 cells, 16-32-64 channels"
    made_for = "32x32: CIFAR-10, CIFAR-100; 16x16: ImageNet16-120"
    source = "Dong & Yang 2020"
    choices = (OPS,) * len(EDGES)
    evidence = (
        "model size ranks it as well as naswot does, --score diversity better than both. "
        "Kendall's tau with test accuracy on CIFAR-10 / CIFAR-100 / "
        "ImageNet16-120, 128 CIFAR-10 images: over all 15,625 architectures parameters .651 / .625 / .606, naswot "
        ".627 / .640 / .624, jacob_cov+params .773 / .759 / .735; over 1,500 random ones (95 % intervals of 0.02 to "
        "0.05) parameters .659 / .636 / .618, naswot .637 / .652 / .637, --score robust .793 / .782 / .752, --score "
        "diversity .794 / .804 / .758 (16 images), chosen without this space .796 / .803 / .757."
    )

    def mutate(self, architecture: str, rng: random.Random) -> str:
        """Change one operation: a node uniformly, one of its edges, one of the other four operations.

        This is the benchmark's own rule; edges into node 1 are therefore changed most often.
        """
        ops = list(parse_cell(architecture))
        node = rng.choice((1, 2, 3))
        edge = rng.choice([position for position, (_, target) in enumerate(EDGES) if target == node])
        ops[edge] = rng.choice([op for op in OPS if op != ops[edge]])
        return format_cell(ops)

    def build(self, architecture: str, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
        """Return the network; weights are drawn in the order in which the benchmark's code draws them."""
        return NASBench201Network(parse_cell(architecture), num_classes, in_channels)

    def read(self, text: str) -> str:
        """Return the cell that NASLib writes as a tuple of six numbers, ``(4, 0, 3, 1, 4, 3)``."""
        if not _NASLIB.fullmatch(text):
            return text
        ops = dict(zip(_NASLIB_EDGES, (_NASLIB_OPS[int(number)] for number in text[1:-1].split(",")), strict=True))
        return format_cell([ops[edge] for edge in EDGES])

    def canonical(self, architecture: str) -> str:
        """Return the smallest cell (fewest live edges, then first in listing order) of the same function.

        Two cells are the same where their expressions (see :func:`expression`) are: 5,390 classes.
        """
        return self._representatives[expression(parse_cell(architecture))]

    def complexity(
        self, architecture: str, num_classes: int = 10, in_channels: int = 3, image_size: int = 32
    ) -> Complexity:
        """Return the closed forms of parameters and MACs, exact for image sizes divisible by 4."""
        cell = parse_cell(architecture)
        # Each stage doubles the width and quarters the image: a convolution has the same MACs in all three.
        n1, n3 = cell.count("nor_conv_1x1"), cell.count("nor_conv_3x3")
        stem_extra = (in_channels - 3) * 9 * CHANNELS
        params = 72_656 + 65 * num_classes + 28_000 * n1 + 243_040 * n3 + stem_extra
        pixels = image_size * image_size
        # On 32x32 images: 7.7824 M in the skeleton, 3.93216 M per 1x1 and 35.38944 M per 3x3 convolution.
        macs = (7_600 + stem_extra + 3_840 * n1 + 34_560 * n3) * pixels + 65 * num_classes
        return Complexity(params, macs)

    def graph(self, architecture: str) -> list[CellGraph]:
        """Return the cell, its operations on the edges."""
        return [graph_of_cell(parse_cell(architecture))]

    def decisions(self, architecture: str) -> tuple[int, ...]:
        """Return the operation of each edge, as its position in :data:`OPS`."""
        return tuple(map(OPS.index, parse_cell(architecture)))

    def from_decisions(self, decisions: Sequence[int]) -> str:
        """Return the cell of these operations."""
        return format_cell([OPS[decision] for decision in decisions])

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> str:
        return format_cell(self._order[index])

    def index(self, architecture: str) -> int:
        """Return the benchmark's index of ``architecture``."""
        return self._positions[parse_cell(architecture)]

    @cached_property
    def _order(self) -> list[Cell]:
        cells = list(itertools.product(OPS, repeat=len(EDGES)))
        # The benchmark's own seed: its official order.
        random.Random(88).shuffle(cells)
        return cells

    @cached_property
    def _positions(self) -> dict[Cell, int]:
        return {cell: index for index, cell in enumerate(self._order)}

    @cached_property
    def _representatives(self) -> dict[str, str]:
        best: dict[str, tuple[int, int, Cell]] = {}
        for position, cell in enumerate(itertools.product(OPS, repeat=len(EDGES))):
            size = (len(EDGES) - cell.count("none"), position, cell)
            key = expression(cell)
            best[key] = min(best.get(key, size), size)
        return {key: format_cell(cell) for key, (_, _, cell) in best.items()}


def format_cell(ops: Sequence[str]) -> str:
    """Write six operations, in the order of :data:`EDGES`, as an architecture string."""
    nodes = []
    for node in (1, 2, 3):
        edges = [f"{op}~{source}" for op, (source, target) in zip(ops, EDGES, strict=True) if target == node]
        nodes.append("|" + "|".join(edges) + "|")
    return "+".join(nodes)


def parse_cell(architecture: str) -> Cell:
    """Read an architecture string into six operations, in the order of :data:`EDGES`; a SpaceError names a fault."""
    nodes = architecture.strip().split("+")
    if len(nodes) != 3:
        raise SpaceError(
            f"architecture {quoted(architecture)}: expected 3 nodes joined by '+', found {len(nodes)}; "
            f"write it as {format_cell(['none'] * 6)}"
        )
    ops = []
    for node, text in enumerate(nodes, start=1):
        fault = f"architecture {quoted(architecture)}, node {node}"
        if len(text) < 2 or text[0] != "|" or text[-1] != "|":
            raise SpaceError(f"{fault}: {quoted(text)} must begin and end with '|'")
        edges = text[1:-1].split("|")
        if len(edges) != node:
            raise SpaceError(f"{fault}: expected {node} edge(s), one from each earlier node, found {len(edges)}")
        for source, edge in enumerate(edges):
            op, _, written = edge.partition("~")
            at = f"{fault}, edge {source}->{node}"
            if written != str(source):
                raise SpaceError(f"{at}: {quoted(edge)} must read 'operation~{source}'")
            if op not in OPS:
                known = ", ".join(OPS)
                raise SpaceError(
                    f"{at}: unknown operation {quoted(op)}, expected one of {known}{did_you_mean(op, OPS)}"
                )
            ops.append(op)
    return tuple(ops)


def graph_of_cell(cell: Cell) -> CellGraph:
    """Return what is drawn of a cell."""
    edges = [(source, target, op) for (source, target), op in zip(EDGES, cell, strict=True)]
    return cell_graph("cell", ["0\ninput", "1", "2", "3\noutput"], edges)


def expression(cell: Cell) -> str:
    """Write what node 3 computes: a sum is its sorted terms joined by '+'; ``#`` where no path leads to it.

    Dead terms are left out, which makes 5,390 classes of cells. The benchmark's API keeps them in the sums: 6,466.
    """
    # The expression of each node so far; node 0 is the input.
    nodes = ["0"]
    for node in (1, 2, 3):
        terms = []
        for op, (source, target) in zip(cell, EDGES, strict=True):
            if target == node and op != "none" and nodes[source] != "#":
                terms.append(nodes[source] if op == "skip_connect" else f"({nodes[source]})@{op}")
        nodes.append("+".join(sorted(terms)) or "#")
    return nodes[3]


class NASBench201Network(nn.Sequential):
    """Stem, three stages of cells with residual reductions between them, classifier.

    Images (N, in_channels, H, W) to logits (N, num_classes).
    """

    def __init__(self, cell: Cell, num_classes: int, in_channels: int = 3) -> None:
        stem = nn.Sequential(*conv_bn(in_channels, CHANNELS, 3))
        blocks: list[nn.Module] = []
        channels = CHANNELS
        for stage in range(STAGES):
            if stage > 0:
                blocks.append(ReductionBlock(channels, 2 * channels))
                channels *= 2
            blocks += [NASBench201Cell(cell, channels) for _ in range(CELLS_PER_STAGE)]
        head = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), GlobalAveragePool())
        classifier = nn.Linear(channels, num_classes)
        super().__init__(OrderedDict(stem=stem, cells=nn.Sequential(*blocks), head=head, classifier=classifier))


class NASBench201Cell(nn.Module):
    """One cell at a fixed width and stride 1: (N, C, H, W) to the same shape."""

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(_OPERATIONS[op](channels) for op in cell)
        kept = _summed_edges(cell)
        self.inputs = _inputs(cell, kept)
        # What gives a value: zeros are added for the sake of gradient paths alone.
        self.valued = _inputs(cell, _with_every_node(kept - {e for e, op in enumerate(cell) if op == "none"}))

    def forward(self, x: Tensor) -> Tensor:
        """Return node 3."""
        nodes, edges = [x], list(self.edges)
        for inputs in self.inputs if torch.is_grad_enabled() else self.valued:
            terms = [edges[edge](nodes[source]) for edge, source, _ in inputs]
            nodes.append(_sum(terms, [own for _, _, own in inputs]))
        return nodes[3]


def _inputs(cell: Cell, kept: set[int]) -> list[list[tuple[int, int, bool]]]:
    """Return for nodes 1, 2, 3: edge, its source, and whether its term shares no memory with the source."""
    return [
        [
            (edge, source, cell[edge] != "skip_connect")
            for edge, (source, target) in enumerate(EDGES)
            if target == node and edge in kept
        ]
        for node in (1, 2, 3)
    ]


def _sum(terms: list[Tensor], own: list[bool]) -> Tensor:
    """Add up the terms from left to right, in the memory of one that may be written to: a quarter less traffic."""
    if len(terms) == 1:
        return terms[0]
    first, second = (terms[0], terms[1]) if own[0] else (terms[1], terms[0])
    total = first.add_(second) if own[0] or own[1] else first + second
    for term in terms[2:]:
        total = total.add_(term)
    return total


def _summed_edges(cell: Cell) -> set[int]:
    """Return the edges that must be summed: all but the zeros that change neither value nor gradient path.

    A ``none`` edge adds zeros. It still carries the (zero) gradient to its source, which decides what the
    published scoring code counts, so it is left out only where its source also reaches node 3 without it.
    """
    reaches = {3}
    for node in (2, 1, 0):
        if any(op != "none" and s == node and t in reaches for op, (s, t) in zip(cell, EDGES, strict=True)):
            reaches.add(node)
    return _with_every_node({e for e, (source, _) in enumerate(EDGES) if cell[e] != "none" or source not in reaches})


def _with_every_node(kept: set[int]) -> set[int]:
    """Add the first edge of each node that has none."""
    incoming = ([edge for edge, (_, target) in enumerate(EDGES) if target == node] for node in (1, 2, 3))
    return kept | {edges[0] for edges in incoming if not kept.intersection(edges)}


# From an operation's name to what makes it, at stride 1 and so many channels.
_OPERATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda _: Zero(),
    "skip_connect": lambda _: nn.Identity(),
    "nor_conv_1x1": lambda channels: ReLUConvBN(channels, channels, 1),
    "nor_conv_3x3": lambda channels: ReLUConvBN(channels, channels, 3),
    "avg_pool_3x3": lambda _: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
}


class ReductionBlock(nn.Module):
    """The fixed residual block between stages: (N, c_in, H, W) to (N, c_out, H / 2, W / 2)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(ReLUConvBN(c_in, c_out, 3, stride=2), ReLUConvBN(c_out, c_out, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return main branch plus shortcut."""
        return self.main(x).add_(self.shortcut(x))
