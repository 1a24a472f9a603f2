"""What a cell looks like: nodes, edges, and which of them take part in the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# The operation that carries nothing from its source.
NOTHING = "none"


@dataclass(frozen=True)
class Node:
    """One node of a cell."""

    label: str
    """What is written on it; lines are separated by a newline."""
    live: bool = True
    """It lies on a path from an input to the output."""


@dataclass(frozen=True)
class Edge:
    """One edge of a cell, between two positions among the nodes; the target is a later node."""

    source: int
    target: int
    label: str = ""
    """Its operation; empty where operations are on the nodes."""
    live: bool = True
    """It lies on a path from an input to the output."""


@dataclass(frozen=True)
class CellGraph:
    """A cell or a whole network as it is drawn; every edge goes from an earlier to a later node."""

    title: str
    nodes: tuple[Node, ...]
    """The inputs first, the output last."""
    edges: tuple[Edge, ...]
    """In any order; two nodes may have several."""


def cell_graph(title: str, labels: Sequence[str], edges: Sequence[tuple[int, int, str]], inputs: int = 1) -> CellGraph:
    """Return the graph with its dead nodes and edges marked.

    Labels are of the nodes, the ``inputs`` first, the output last; these are never dead. An edge is source, target and
    operation.
    """
    last = len(labels) - 1
    links = [(source, target) for source, target, label in edges if label != NOTHING]
    reached, needed = set(range(inputs)), {last}
    for target in range(last + 1):
        reached |= {target for s, t in links if t == target and s in reached}
    for source in range(last, -1, -1):
        needed |= {source for s, t in links if s == source and t in needed}
    live = reached & needed
    return CellGraph(
        title,
        tuple(Node(label, n in live or n < inputs or n == last) for n, label in enumerate(labels)),
        tuple(Edge(s, t, label, label != NOTHING and {s, t} <= live) for s, t, label in edges),
    )


def chain_graph(title: str, labels: Sequence[str]) -> CellGraph:
    """Return nodes that follow one another."""
    return cell_graph(title, labels, [(number, number + 1, "") for number in range(len(labels) - 1)])
