"""An architecture of an NDS cell space as one string.

The string names the width and depth of the network, then both cells::

    C16-L8|normal:sep_conv_3x3~0+skip_connect~1;max_pool_3x3~2+none~0->2,3|reduce:max_pool_3x3~0+...->2,3

- ``C16-L8``: width C (channels of the first cells) and depth L (number of cells). Options follow in this
  order, defaults are left out: ``-imagenet`` (the ImageNet skeleton), ``-aux`` (an auxiliary head),
  ``-drop0.2`` (probability of drop path).
- A cell is its nodes, separated by ``;``, then ``->`` and the nodes whose concatenation is its output.
- A node is the sum of two edges; an edge is ``operation~input``. Inputs 0 and 1 are the outputs of the cell
  before the previous one and of the previous one; nodes are numbered from 2.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

from naswot_lightning.spaces.errors import SpaceError, did_you_mean, quoted, read_bounded

# Operation, input.
Edge = tuple[str, int]

CELL_INPUTS = 2
# Channels of the first cells; the last have four times as many.
MAX_WIDTH = 512
# Cells.
MAX_DEPTH = 200
_OPTIONS = ("imagenet", "aux", "drop")
# Zero in, zero out, whatever the weights. A convolution is not: its BatchNorm adds a bias to the zeros.
_KEEPS_ZERO = ("skip_connect", "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7")
# Weights of an operation's convolutions across channels, as a multiple of channels^2; the others have none.
SQUARES = {
    "conv_1x1": 1, "conv_3x3": 9, "conv_3x1_1x3": 6, "conv_7x1_1x7": 14, "sep_conv_3x3": 2, "sep_conv_5x5": 2,
    "sep_conv_7x7": 2, "dil_conv_3x3": 1, "dil_conv_5x5": 1, "dil_sep_conv_3x3": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One cell."""

    edges: tuple[Edge, ...]
    """Two per node, in the order of the nodes."""
    concat: tuple[int, ...]
    """The nodes whose concatenation is the output, ascending."""

    def node(self, state: int) -> tuple[Edge, Edge]:
        """Return both edges of node ``state`` (numbered from 2)."""
        first = 2 * (state - CELL_INPUTS)
        return self.edges[first], self.edges[first + 1]

    @property
    def nodes(self) -> range:
        """The numbers of the nodes: 2, 3, ..."""
        return range(CELL_INPUTS, CELL_INPUTS + len(self.edges) // 2)


@dataclass(frozen=True)
class CellArchitecture:
    """What an architecture string says."""

    normal: Cell
    """Keeps the image size."""
    reduce: Cell
    """Halves the image size."""
    width: int
    """Channels of the first cells."""
    depth: int
    """Number of cells."""
    imagenet: bool = False
    """The skeleton for large images, otherwise that for 32x32."""
    auxiliary: bool = False
    """An auxiliary head, used while the network trains."""
    drop_path: float = 0.0
    """Probability with which an edge is dropped while the network trains."""


def format_architecture(architecture: CellArchitecture) -> str:
    """Write an architecture in its canonical spelling."""
    head = f"C{architecture.width}-L{architecture.depth}"
    head += "-imagenet" * architecture.imagenet + "-aux" * architecture.auxiliary
    if architecture.drop_path:
        head += f"-drop{Decimal(repr(architecture.drop_path)):f}"
    for name, cell in (("normal", architecture.normal), ("reduce", architecture.reduce)):
        edges = [f"{op}~{source}" for op, source in cell.edges]
        nodes = ";".join("+".join(pair) for pair in zip(edges[::2], edges[1::2], strict=True))
        head += f"|{name}:{nodes}->{','.join(map(str, cell.concat))}"
    return head


def parse_architecture(text: str, ops: Sequence[str], nodes: int) -> CellArchitecture:
    """Read an architecture string of a space of these operations, and of so many nodes per cell.

    A SpaceError names the option, cell, node, operation or input that is not allowed.
    """
    parts = text.strip().split("|")
    if len(parts) != 3:
        raise SpaceError(
            f"architecture {quoted(text)}: expected 3 parts joined by '|', found {len(parts)}; "
            "write it as C16-L8|normal:NODES->CONCAT|reduce:NODES->CONCAT"
        )
    fault = f"architecture {quoted(text)}"
    width, depth, options = _parse_head(fault, parts[0])
    cells = []
    for name, part in zip(("normal", "reduce"), parts[1:], strict=True):
        label, _, body = part.partition(":")
        if label != name:
            raise SpaceError(f"{fault}: {quoted(part[:24])} must begin with '{name}:'")
        cells.append(_parse_cell(f"{fault}, {name} cell", body, ops, nodes))
    if options.get("imagenet") and width < 2:
        raise SpaceError(f"{fault}: the ImageNet skeleton halves the width C{width}: it must be 2 or more")
    return CellArchitecture(
        cells[0], cells[1], width, depth, "imagenet" in options, "aux" in options, options.get("drop", 0.0)
    )


def read_genotype(text: str) -> tuple[Cell, Cell]:
    """Return the normal and the reduce cell of a genotype as DARTS prints it; anything else is a SpaceError.

    ``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=[2, 3, 4, 5])``
    """
    try:
        call = ast.parse(text[text.index("Genotype(") :], mode="eval").body
        parts = {each.arg: _literal(each.value) for each in call.keywords} if isinstance(call, ast.Call) else {}
        normal, reduce = (
            Cell(tuple((str(op), int(source)) for op, source in parts[name]), tuple(map(int, parts[f"{name}_concat"])))
            for name in ("normal", "reduce")
        )
    except (SyntaxError, ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError):
        raise SpaceError(
            f"{quoted(text)}: expected Genotype(normal=[(operation, input), ...], normal_concat=[...], reduce=[...], "
            "reduce_concat=[...])"
        ) from None
    return normal, reduce


def _literal(node: ast.expr) -> Any:
    """Return a list, or the numbers of a ``range(2, 6)``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        return range(*map(ast.literal_eval, node.args))
    return ast.literal_eval(node)


def _parse_cell(fault: str, text: str, ops: Sequence[str], nodes: int) -> Cell:
    body, arrow, concat = text.partition("->")
    if not arrow:
        raise SpaceError(f"{fault}: no '->' before the nodes to concatenate")
    written = body.split(";")
    if len(written) != nodes:
        raise SpaceError(f"{fault}: expected {nodes} nodes separated by ';', found {len(written)}")
    edges: list[Edge] = []
    for number, node in enumerate(written, start=CELL_INPUTS):
        pair, at = node.split("+"), f"{fault}, node {number}"
        if len(pair) != 2:
            raise SpaceError(f"{at}: expected 2 edges joined by '+', found {len(pair)} in {quoted(node)}")
        edges += [_parse_edge(at, edge, ops, number) for edge in pair]
    allowed = [str(state) for state in range(CELL_INPUTS, CELL_INPUTS + nodes)]
    joined = concat.split(",")
    for state in joined:
        if state not in allowed:
            raise SpaceError(
                f"{fault}: {quoted(state)} after '->' is not a node, expected some of {', '.join(allowed)}"
            )
    if list(map(int, joined)) != sorted({*map(int, joined)}):
        raise SpaceError(f"{fault}: the nodes after '->' must ascend, found {quoted(concat)}")
    return Cell(tuple(edges), tuple(map(int, joined)))


def _parse_head(fault: str, head: str) -> tuple[int, int, dict[str, float]]:
    size, *written = head.split("-")
    depth = written.pop(0) if written else ""
    if not re.fullmatch("C[1-9][0-9]*", size) or not re.fullmatch("L[1-9][0-9]*", depth):
        raise SpaceError(f"{fault}: {quoted(head)} must begin with the width and depth, as C16-L8")
    options: dict[str, float] = {}
    for option in written:
        name = "drop" if option.startswith("drop") else option
        if name not in _OPTIONS:
            known = f"{', '.join(_OPTIONS)}{did_you_mean(option, _OPTIONS)}"
            raise SpaceError(f"{fault}: unknown option {quoted(option)}, expected one of {known}")
        number = re.fullmatch(r"drop(0?\.[0-9]+|0)", option)
        # 0.99999999999999999 is 1.0.
        if name == "drop" and (number is None or float(number[1]) == 1):
            raise SpaceError(f"{fault}: {quoted(option)} must be a probability below 1, as drop0.2")
        if name in options:
            raise SpaceError(f"{fault}: the option {name!r} is written twice")
        options[name] = float(number[1]) if number else 1.0
    width = read_bounded(fault, "width", size[1:], MAX_WIDTH, "channels")
    return width, read_bounded(fault, "depth", depth[1:], MAX_DEPTH, "cells"), options


def _parse_edge(fault: str, text: str, ops: Sequence[str], state: int) -> Edge:
    op, tilde, source = text.partition("~")
    if not tilde:
        raise SpaceError(f"{fault}: {quoted(text)} must read 'operation~input'")
    if op not in ops:
        known = ", ".join(ops)
        raise SpaceError(f"{fault}: unknown operation {quoted(op)}, expected one of {known}{did_you_mean(op, ops)}")
    inputs = [str(earlier) for earlier in range(state)]
    if source not in inputs:
        raise SpaceError(f"{fault}: {quoted(text)} has the input {quoted(source)}, expected one of {', '.join(inputs)}")
    return op, int(source)


def canonical_architecture(architecture: CellArchitecture, ops: Sequence[str]) -> CellArchitecture:
    """Return the architecture with both cells in canonical form; its settings stay as they are."""
    # Dead edges are written as an edge without parameters; every space has max pooling.
    dead = {"normal": ("none", 0) if "none" in ops else ("skip_connect", 0)}
    dead["reduce"] = ("none", 0) if "none" in ops else ("max_pool_3x3", 0)
    return replace(
        architecture,
        normal=canonical_cell(architecture.normal, ops, dead["normal"]),
        reduce=canonical_cell(architecture.reduce, ops, dead["reduce"]),
    )


def canonical_cell(cell: Cell, ops: Sequence[str], dead: Edge) -> Cell:
    """Return the canonical form of one cell: equal for cells that are seen to compute the same function.

    It is conservative: cells that differ only in the order of their nodes keep different forms, since that order is
    the order of the output's channels.

    1. An edge that is always zero becomes ``none~0``: ``none`` of any input, pooling or skip of a zero node.
    2. Both edges of a node that does not reach the output become ``dead``. The node itself stays, as a cell
       of the space has a fixed number of them; networks do not run it.
    3. The edges of a node are sorted by input, then operation.
    """
    edges: list[Edge] = []
    zero_nodes: set[int] = set()
    for state in cell.nodes:
        for op, source in cell.node(state):
            is_zero = op == "none" or (source in zero_nodes and op in _KEEPS_ZERO)
            edges.append(("none", 0) if is_zero else (op, source))
        if all(op == "none" for op, _ in edges[-2:]):
            zero_nodes.add(state)
    live = live_nodes(replace(cell, edges=tuple(edges)), through_none=False)
    sorted_edges: list[Edge] = []
    for state in cell.nodes:
        first = 2 * (state - CELL_INPUTS)
        pair = edges[first : first + 2] if state in live else [dead, dead]
        sorted_edges += sorted(pair, key=lambda edge: (edge[1], ops.index(edge[0])))
    return replace(cell, edges=tuple(sorted_edges))


def live_nodes(cell: Cell, through_none: bool) -> set[int]:
    """Return the nodes from which the output can be reached; with ``through_none`` also by ``none`` edges.

    Those carry a (zero) gradient, which decides what the published scoring code counts.
    """
    live = set(cell.concat)
    for state in reversed(cell.nodes):
        if state in live:
            live |= {source for op, source in cell.node(state) if through_none or op != "none"}
    return live & set(cell.nodes)


class PlannedCell(NamedTuple):
    """One cell of a network."""

    cell: Cell
    before: int
    """Channels of the cell before the previous one."""
    previous: int
    """Channels of the previous cell."""
    width: int
    """Channels of a node."""
    reduces: bool
    """It halves the image."""

    @property
    def channels(self) -> int:
        """Channels of its output."""
        return len(self.cell.concat) * self.width


def planned_cells(architecture: CellArchitecture) -> Iterator[PlannedCell]:
    """Yield the cells of a network; cells number L // 3 and 2 * L // 3 reduce and double the width."""
    depth, width = architecture.depth, architecture.width
    # The stem's output is both inputs of the first cell.
    before = previous = width if architecture.imagenet else 3 * width
    for position in range(depth):
        reduces = position in (depth // 3, 2 * depth // 3)
        width *= 1 + reduces
        planned = PlannedCell(architecture.reduce if reduces else architecture.normal, before, previous, width, reduces)
        yield planned
        before, previous = previous, planned.channels


def estimate_cell_params(architecture: CellArchitecture) -> int:
    """Return the weights across channels: all but those of BatchNorm, depthwise convolutions, stem and classifier."""
    squares = {
        cell: sum(SQUARES.get(op, 0) for op, _ in cell.edges) for cell in (architecture.normal, architecture.reduce)
    }
    # Two 1x1 convolutions bring both inputs to the width; then width^2 per weight of an operation.
    return sum(
        planned.width * (planned.before + planned.previous + squares[planned.cell] * planned.width)
        for planned in planned_cells(architecture)
    )


def largest_architecture(ops: tuple[str, ...], nodes: int, width: int, depth: int) -> CellArchitecture:
    """Return the network of most parameters: the costliest operation on every edge, all nodes concatenated."""
    costliest = max(ops, key=lambda op: SQUARES.get(op, 0))
    states = range(CELL_INPUTS, CELL_INPUTS + nodes)
    cell = Cell(tuple((costliest, 0) for _ in range(2 * nodes)), tuple(states))
    return CellArchitecture(cell, cell, width, depth)
