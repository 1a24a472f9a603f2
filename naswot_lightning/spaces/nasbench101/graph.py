"""The cell of NAS-Bench-101 as a graph: its string, its live part, its hash and its canonical form."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from naswot_lightning.spaces.errors import SpaceError, did_you_mean, quoted

# Short names and the benchmark's labels, in the benchmark's order: the position is the operation's number.
OPS = {"conv3x3": "conv3x3-bn-relu", "conv1x1": "conv1x1-bn-relu", "maxpool3x3": "maxpool3x3"}
OUTPUT = "output"
MAX_VERTICES = 7
MAX_EDGES = 9


class Vertex(NamedTuple):
    """One vertex of a cell."""

    op: str
    """A key of :data:`OPS`, or :data:`OUTPUT` for the last vertex."""
    sources: tuple[int, ...]
    """The earlier vertices that it takes its input from, in rising order."""


# Vertices 1, 2, ... of a cell, the output last; vertex 0, the input, is not listed.
Graph = tuple[Vertex, ...]


def format_graph(graph: Graph) -> str:
    """Write a graph as an architecture string."""
    return "+".join(f"{vertex.op}~{','.join(map(str, vertex.sources))}" for vertex in graph)


def parse_graph(architecture: str) -> Graph:
    """Read an architecture string; dead vertices are kept and the limit of edges is not applied.

    A SpaceError names the vertex with an unknown operation or source.
    """
    texts = architecture.strip().split("+")
    if len(texts) > MAX_VERTICES - 1:
        raise SpaceError(
            f"architecture {quoted(architecture)}: {len(texts) + 1} vertices with the input, at most {MAX_VERTICES}"
        )
    vertices = []
    for number, text in enumerate(texts, start=1):
        fault = f"architecture {quoted(architecture)}, vertex {number}"
        op, separator, sources = text.partition("~")
        if not separator:
            raise SpaceError(f"{fault}: {quoted(text)} must read 'operation~sources', such as 'conv3x3~0'")
        if number == len(texts) and op != OUTPUT:
            raise SpaceError(f"{fault}: {quoted(op)} at the end, which is that of '{OUTPUT}~sources'")
        if number != len(texts) and op not in OPS:
            raise SpaceError(
                f"{fault}: unknown operation {quoted(op)}, expected one of {', '.join(OPS)}{did_you_mean(op, OPS)}"
            )
        written, earlier = sources.split(",") if sources else [], [str(source) for source in range(number)]
        for source in written:
            if source not in earlier:
                raise SpaceError(f"{fault}: source {quoted(source)} is not an earlier vertex (0 to {number - 1})")
        if written != sorted(set(written)):
            raise SpaceError(f"{fault}: sources {quoted(sources)} must be different and in rising order")
        vertices.append(Vertex(op, tuple(map(int, written))))
    return tuple(vertices)


def graph_from_matrix(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Graph:
    """Return the graph of the benchmark's records.

    Args:
        matrix: V x V of 0 and 1, upper triangular (``module_adjacency``).
        labels: V labels of the benchmark, "input" first and "output" last (``module_operations``).

    Raises:
        SpaceError: the matrix is not upper triangular and square, or a label does not belong.
    """
    size = len(labels)
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise SpaceError(f"adjacency matrix: expected {size} x {size} entries, one row per label")
    for target, source in itertools.combinations_with_replacement(range(size), 2):
        if matrix[source][target]:
            raise SpaceError(f"adjacency matrix: entry {source},{target} is not above the diagonal")
    if size < 2 or (labels[0], labels[-1]) != ("input", OUTPUT):
        raise SpaceError(f"labels {list(labels)}: the first must be 'input' and the last 'output'")
    for number, label in enumerate(labels[1:-1], start=1):
        if label not in OPS.values():
            raise SpaceError(f"label {number}: {label!r}, expected one of {', '.join(OPS.values())}")
    short = {label: op for op, label in OPS.items()}
    pairs = itertools.combinations(range(len(labels)), 2)
    edges = {(source, target) for source, target in pairs if matrix[source][target]}
    return assemble(edges, [short[label] for label in labels[1:-1]])


def assemble(edges: set[tuple[int, int]], ops: Sequence[str]) -> Graph:
    """Return the graph of (source, target) edges and the operations of the vertices between input and output."""
    return tuple(
        Vertex(op, tuple(source for source in range(target) if (source, target) in edges))
        for target, op in enumerate([*ops, OUTPUT], start=1)
    )


def edges_of(graph: Graph) -> set[tuple[int, int]]:
    """Return the edges as (source, target)."""
    return {(source, target) for target, vertex in enumerate(graph, start=1) for source in vertex.sources}


def live_graph(architecture: str) -> Graph:
    """Return the pruned graph of an architecture string; one that is not of the space is a SpaceError."""
    pruned = prune(parse_graph(architecture))
    if pruned is None:
        raise SpaceError(f"architecture {quoted(architecture)}: no path from the input (vertex 0) to the output")
    edges = len(edges_of(pruned))
    if edges > MAX_EDGES:
        raise SpaceError(
            f"architecture {quoted(architecture)}: {edges} edges on paths to the output, at most {MAX_EDGES}"
        )
    return pruned


def is_in_domain(graph: Graph) -> bool:
    """Return whether the live part of a graph belongs to the space."""
    pruned = prune(graph)
    return pruned is not None and len(edges_of(pruned)) <= MAX_EDGES


def prune(graph: Graph) -> Graph | None:
    """Return the graph without vertices off every path from input to output; None where there is no path."""
    last = len(graph)
    # Forwards from the input, then backwards from the output.
    reached = {0}
    for number, vertex in enumerate(graph, start=1):
        if reached.intersection(vertex.sources):
            reached.add(number)
    if last not in reached:
        return None
    needed = {last}
    for number in range(last, 0, -1):
        if number in needed:
            needed.update(graph[number - 1].sources)
    kept = sorted(reached & needed)
    return _renumbered(graph, kept)


def _renumbered(graph: Graph, order: Sequence[int]) -> Graph:
    """Return the subgraph of the vertices in ``order``, 0 first, numbered by it."""
    position = {number: index for index, number in enumerate(order)}
    return tuple(
        Vertex(graph[n - 1].op, tuple(sorted(position[s] for s in graph[n - 1].sources if s in position)))
        for n in order[1:]
    )


@lru_cache(maxsize=1 << 16)
def canonical_graph(graph: Graph) -> Graph:
    """Return the smallest of a pruned graph's renumberings: one graph for all isomorphic ones."""
    return min(renumberings(graph))


def renumberings(graph: Graph) -> set[Graph]:
    """Return the different graphs that renumbering the interior vertices makes, at most 5! = 120.

    Only numberings that keep every source before its target count.
    """
    last = len(graph)
    orders = itertools.permutations(range(1, last))
    candidates = (_renumbered(graph, (0, *order, last)) for order in orders)
    return {each for each in candidates if all(source < target for source, target in edges_of(each))}


def graph_hash(graph: Graph) -> str:
    """Return the benchmark's hash of a pruned graph: MD5 of neighbours' hashes, as many rounds as vertices."""
    size = len(graph) + 1
    sources: list[tuple[int, ...]] = [(), *(vertex.sources for vertex in graph)]
    targets = [[t for t in range(size) if s in sources[t]] for s in range(size)]
    numbers = {op: number for number, op in enumerate(OPS)}
    labels = [-1, *(numbers[vertex.op] for vertex in graph[:-1]), -2]
    # Section 3.2 of the paper: each vertex begins with its degrees and label, then takes in its neighbours' hashes.
    hashes = [_md5(str((len(targets[v]), len(sources[v]), labels[v]))) for v in range(size)]
    for _ in range(size):
        before = ["".join(sorted(hashes[s] for s in sources[v])) for v in range(size)]
        after = ["".join(sorted(hashes[t] for t in targets[v])) for v in range(size)]
        hashes = [_md5("|".join(texts)) for texts in zip(before, after, hashes, strict=True)]
    return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
