"""Cells of NAS-Bench-101 drawn at random, completed and mutated."""

from __future__ import annotations

import itertools
import random

from spaces.nasbench101.graph import (
    MAX_EDGES,
    MAX_VERTICES,
    OPS,
    Graph,
    Vertex,
    assemble,
    edges_of,
    prune,
    renumberings,
)


def uniform_cell(size: int, rng: random.Random) -> Graph:
    """Draw a cell of ``size`` live vertices, all equally likely.

    Numbered graphs are drawn uniformly, so that a cell comes up as often as it can be numbered differently; it
    is kept one time in so many. At 7 vertices that is one draw in 1,400.
    """
    pairs = list(itertools.combinations(range(size), 2))
    while True:
        bits = rng.getrandbits(len(pairs))
        if bits.bit_count() > MAX_EDGES:
            continue
        edges = {pair for index, pair in enumerate(pairs) if bits >> index & 1}
        graph = assemble(edges, [rng.choice(tuple(OPS)) for _ in range(size - 2)])
        if prune(graph) == graph and rng.random() * len(renumberings(graph)) < 1:
            return graph


def completed(graph: Graph, rng: random.Random) -> Graph:
    """Return the graph with dead vertices of random operation before the output, 7 vertices in all."""
    missing = MAX_VERTICES - 1 - len(graph)
    return (*graph[:-1], *(Vertex(rng.choice(tuple(OPS)), ()) for _ in range(missing)), graph[-1])


def flipped(graph: Graph, rng: random.Random) -> Graph:
    """Return a graph of 7 vertices with one edge a vertex and one operation flipped in expectation."""
    pairs = itertools.combinations(range(MAX_VERTICES), 2)
    edges = edges_of(graph).symmetric_difference(pair for pair in pairs if rng.random() < 1 / MAX_VERTICES)
    ops = [vertex.op for vertex in graph[:-1]]
    for index, op in enumerate(ops):
        if rng.random() < 1 / len(ops):
            ops[index] = rng.choice([other for other in OPS if other != op])
    return assemble(edges, ops)
