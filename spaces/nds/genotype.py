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
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from spaces.bounds import read_bounded
from spaces.errors import SpaceError, did_you_mean, quoted

Edge = tuple[str, int]  # operation, input

CELL_INPUTS = 2
MAX_WIDTH = 512  # channels of the first cells; the last have four times as many
MAX_DEPTH = 200  # cells
_OPTIONS = ("imagenet", "aux", "drop")


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        edges: two a node, in the order of the nodes.
        concat: the nodes whose concatenation is the output, ascending.
    """

    edges: tuple[Edge, ...]
    concat: tuple[int, ...]

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
    """What an architecture string says.

    Attributes:
        normal: the cell that keeps the image size.
        reduce: the cell that halves it.
        width: channels of the first cells.
        depth: number of cells.
        imagenet: the skeleton for large images, otherwise that for 32x32.
        auxiliary: the network has an auxiliary head, used while it trains.
        drop_path: probability with which an edge is dropped while it trains.
    """

    normal: Cell
    reduce: Cell
    width: int
    depth: int
    imagenet: bool = False
    auxiliary: bool = False
    drop_path: float = 0.0


def format_architecture(architecture: CellArchitecture) -> str:
    """Write an architecture in its canonical spelling."""
    head = f"C{architecture.width}-L{architecture.depth}"
    head += "-imagenet" * architecture.imagenet + "-aux" * architecture.auxiliary
    if architecture.drop_path:
        head += f"-drop{Decimal(repr(architecture.drop_path)):f}"
    return f"{head}|normal:{format_cell(architecture.normal)}|reduce:{format_cell(architecture.reduce)}"


def format_cell(cell: Cell) -> str:
    """Write one cell: nodes, ``->``, concatenated nodes."""
    edges = [f"{op}~{source}" for op, source in cell.edges]
    nodes = ";".join("+".join(pair) for pair in zip(edges[::2], edges[1::2], strict=True))
    return f"{nodes}->{','.join(map(str, cell.concat))}"


def parse_architecture(text: str, ops: Sequence[str], nodes: int) -> CellArchitecture:
    """Read an architecture string.

    Args:
        text: the string.
        ops: the operations of the space.
        nodes: nodes a cell of the space.

    Raises:
        SpaceError: naming the option, cell, node, operation or input at fault.
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
        cells.append(parse_cell(f"{fault}, {name} cell", body, ops, nodes))
    if options.get("imagenet") and width < 2:
        raise SpaceError(f"{fault}: the ImageNet skeleton halves the width C{width}: it must be 2 or more")
    return CellArchitecture(
        cells[0], cells[1], width, depth, "imagenet" in options, "aux" in options, options.get("drop", 0.0)
    )


def read_genotype(text: str) -> tuple[Cell, Cell]:
    """Return the normal and the reduce cell of a genotype as DARTS prints it.

    ``Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=[2, 3, 4, 5])``

    Raises:
        SpaceError: it is written in another way.
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


def parse_cell(fault: str, text: str, ops: Sequence[str], nodes: int) -> Cell:
    """Read one cell; see :func:`parse_architecture`. ``fault`` begins the message of an error."""
    body, arrow, concat = text.partition("->")
    if not arrow:
        raise SpaceError(f"{fault}: no '->' before the nodes to concatenate")
    written = body.split(";")
    if len(written) != nodes:
        raise SpaceError(f"{fault}: expected {nodes} nodes separated by ';', found {len(written)}")
    edges: list[Edge] = []
    for state, node in enumerate(written, start=CELL_INPUTS):
        edges += _parse_node(f"{fault}, node {state}", node, ops, state)
    return Cell(tuple(edges), _parse_concat(fault, concat, range(CELL_INPUTS, CELL_INPUTS + nodes)))


def _parse_head(fault: str, head: str) -> tuple[int, int, dict[str, float]]:
    size, *written = head.split("-")
    depth = written.pop(0) if written else ""
    if not re.fullmatch("C[1-9][0-9]*", size) or not re.fullmatch("L[1-9][0-9]*", depth):
        raise SpaceError(f"{fault}: {quoted(head)} must begin with the width and depth, as C16-L8")
    options: dict[str, float] = {}
    for option in written:
        name, value = _parse_option(fault, option)
        if name in options:
            raise SpaceError(f"{fault}: the option {name!r} is written twice")
        options[name] = value
    width = read_bounded(fault, "width", size[1:], MAX_WIDTH, "channels")
    return width, read_bounded(fault, "depth", depth[1:], MAX_DEPTH, "cells"), options


def _parse_option(fault: str, option: str) -> tuple[str, float]:
    if option in ("imagenet", "aux"):
        return option, 1.0
    number = re.fullmatch(r"drop(0?\.[0-9]+|0)", option)
    if number and float(number[1]) < 1:  # 0.99999999999999999 is 1.0
        return "drop", float(number[1])
    if option.startswith("drop"):
        raise SpaceError(f"{fault}: {quoted(option)} must be a probability below 1, as drop0.2")
    raise SpaceError(
        f"{fault}: unknown option {quoted(option)}, expected one of {', '.join(_OPTIONS)}"
        f"{did_you_mean(option, _OPTIONS)}"
    )


def _parse_node(fault: str, text: str, ops: Sequence[str], state: int) -> list[Edge]:
    edges = text.split("+")
    if len(edges) != 2:
        raise SpaceError(f"{fault}: expected 2 edges joined by '+', found {len(edges)} in {quoted(text)}")
    return [_parse_edge(fault, edge, ops, state) for edge in edges]


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


def _parse_concat(fault: str, text: str, nodes: range) -> tuple[int, ...]:
    allowed = [str(node) for node in nodes]
    written = text.split(",")
    for node in written:
        if node not in allowed:
            raise SpaceError(f"{fault}: {quoted(node)} after '->' is not a node, expected some of {', '.join(allowed)}")
    concat = tuple(map(int, written))
    if list(concat) != sorted(set(concat)):
        raise SpaceError(f"{fault}: the nodes after '->' must ascend, found {quoted(text)}")
    return concat
