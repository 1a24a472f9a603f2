"""The canonical form of an NDS cell: equal for cells that are seen to compute the same function.

It is conservative: equal forms mean equal functions, but cells that differ only in the order of their nodes
keep different forms, since that order is the order of the output's channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spaces.nds.genotype import CELL_INPUTS, Cell, CellArchitecture, Edge

# Zero in, zero out, whatever the weights. A convolution is not: its BatchNorm adds a bias to the zeros.
_KEEPS_ZERO = ("skip_connect", "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7")


def canonical_architecture(architecture: CellArchitecture, ops: Sequence[str]) -> CellArchitecture:
    """Return the architecture with both cells in canonical form; its settings stay as they are."""
    return replace(
        architecture,
        normal=canonical_cell(architecture.normal, ops, _cheapest(ops, reduces=False)),
        reduce=canonical_cell(architecture.reduce, ops, _cheapest(ops, reduces=True)),
    )


def canonical_cell(cell: Cell, ops: Sequence[str], dead: Edge) -> Cell:
    """Return the canonical form of one cell.

    1. An edge that is always zero becomes ``none~0``: ``none`` of any input, pooling or skip of a zero node.
    2. Both edges of a node that does not reach the output become ``dead``. The node itself stays, as a cell
       of the space has a fixed number of them; networks do not run it.
    3. The edges of a node are sorted by input, then operation.
    """
    edges = _zeros_written_alike(cell)
    live = live_nodes(replace(cell, edges=tuple(edges)), through_none=False)
    sorted_edges: list[Edge] = []
    for state in cell.nodes:
        first = 2 * (state - CELL_INPUTS)
        pair = edges[first : first + 2] if state in live else [dead, dead]
        sorted_edges += sorted(pair, key=lambda edge: (edge[1], ops.index(edge[0])))
    return replace(cell, edges=tuple(sorted_edges))


def live_nodes(cell: Cell, through_none: bool) -> set[int]:
    """Return the nodes from which the output can be reached.

    Args:
        cell: any cell.
        through_none: follow ``none`` edges too. They carry a (zero) gradient, which decides what the
            published scoring code counts.
    """
    live = set(cell.concat)
    for state in reversed(cell.nodes):
        if state in live:
            live |= {source for op, source in cell.node(state) if through_none or op != "none"}
    return live & set(cell.nodes)


def _zeros_written_alike(cell: Cell) -> list[Edge]:
    edges: list[Edge] = []
    zero_nodes: set[int] = set()
    for state in cell.nodes:
        pair = [_zero_written_alike(edge, zero_nodes) for edge in cell.node(state)]
        if all(op == "none" for op, _ in pair):
            zero_nodes.add(state)
        edges += pair
    return edges


def _zero_written_alike(edge: Edge, zero_nodes: set[int]) -> Edge:
    op, source = edge
    is_zero = op == "none" or (source in zero_nodes and op in _KEEPS_ZERO)
    return ("none", 0) if is_zero else edge


def _cheapest(ops: Sequence[str], reduces: bool) -> Edge:
    """Return the edge without parameters that dead edges are written as: every space has max pooling."""
    if "none" in ops:
        return "none", 0
    return ("max_pool_3x3" if reduces else "skip_connect"), 0
