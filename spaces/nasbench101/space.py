"""NAS-Bench-101 (Ying et al., 2019): 423,624 cells, each a graph of at most 7 vertices and 9 edges.

Vertex 0 is the cell's input, the last vertex its output, and every vertex between has one operation. An
architecture lists the vertices from 1 on, each as ``operation~sources`` with the sources in rising order::

    conv3x3~0+conv1x1~0,1+maxpool3x3~+output~2

reads: vertex 1 is a 3x3 convolution of the input; vertex 2 a 1x1 convolution of the sum of the input and
vertex 1; vertex 3 has no source; the output is vertex 2. Vertices off every path from input to output, here 3,
are dead. The limit of 9 edges holds without them. Strings keep them because mutation may bring them back to
life, as in the benchmark's own search; :meth:`NASBench101.canonical` drops them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

from torch import nn

from spaces.base import Complexity, Space
from spaces.errors import SpaceError, expect_option
from spaces.graph import CellGraph, cell_graph
from spaces.layers import draw_he_weights
from spaces.nasbench101.graph import (
    MAX_EDGES,
    MAX_VERTICES,
    OPS,
    Graph,
    Vertex,
    assemble,
    canonical_graph,
    edges_of,
    format_graph,
    graph_hash,
    is_in_domain,
    live_graph,
    parse_graph,
    prune,
    renumberings,
)
from spaces.nasbench101.network import NASBench101Network, convolutions, draw_benchmark_weights

# Different cells by number of vertices: 423,624.
CELLS = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}
# The largest network then has 0.8 billion parameters, see spaces.errors.
MAX_STEM_CHANNELS = 512
# The edges that a cell may have.
_PAIRS = tuple(itertools.combinations(range(MAX_VERTICES), 2))


class NASBench101(Space):
    """The cells of NAS-Bench-101 in its skeleton of 3 stacks x 3 cells.

    Args:
        stem_channels: width of the stem; stacks have 1, 2 and 4 times as many channels.
        uniform: sample each cell with equal probability, instead of by the benchmark's own rule.
        initialise: draws the weights of a network anew; the default follows the benchmark's code.
    """

    name = "nasbench101"
    skeleton = "3 stacks x 3 cells, 128-256-512 channels"
    made_for = "32x32: CIFAR-10"
    source = "Ying et al. 2019"
    size = f"{sum(CELLS.values()):,} cells"
    evidence = (
        "model size ranks it better than naswot does. Kendall's tau with validation accuracy on CIFAR-10 over 167 "
        "cells that are no uniform sample, 16 channels in the stem, 128 CIFAR-10 images, with 95 % intervals: "
        "parameters .495 [.419, .565], naswot .320 [.217, .414], --score robust .598 [.537, .653]."
    )

    def __init__(
        self,
        stem_channels: int = 128,
        uniform: bool = False,
        initialise: Callable[[nn.Module], None] | None = None,
    ) -> None:
        # One channel for each vertex between input and output.
        expect_option("stem_channels", stem_channels, MAX_VERTICES - 2, MAX_STEM_CHANNELS)
        self._stem_channels, self._uniform = stem_channels, uniform
        self._initialise = initialise or draw_benchmark_weights

    def sample(self, rng: random.Random) -> str:
        """Draw edges by a fair coin and operations uniformly on 7 vertices, until the cell is in the space.

        The benchmark's own rule, which prefers small cells: 7 live vertices have 85% of the 423,624 cells and
        0.4% of the draws, and ``output~0`` alone has 10% (5,000 draws). With ``uniform``: :meth:`sample_uniform`.
        """
        if self._uniform:
            return self.sample_uniform(rng)
        while True:
            chosen = {edge for edge in _PAIRS if rng.random() < 0.5}
            graph = assemble(chosen, [rng.choice(tuple(OPS)) for _ in range(MAX_VERTICES - 2)])
            if is_in_domain(graph):
                return format_graph(graph)

    def sample_uniform(self, rng: random.Random) -> str:
        """Draw each of the 423,624 cells with equal probability, as the paper draws from the benchmark's table."""
        (size,) = rng.choices(list(CELLS), list(CELLS.values()))
        return format_graph(uniform_cell(size, rng))

    def mutate(self, architecture: str, rng: random.Random) -> str:
        """Flip each of 21 edges with probability 1/7 and change each of 5 operations with 1/5, until valid.

        The benchmark's own rule at its rate 1; dead vertices take part. A cell of fewer vertices is first
        brought to 7 by dead ones of random operation, so that it can grow. The result differs from the
        architecture so completed, though perhaps in dead vertices only.
        """
        self.validate(architecture)
        graph = parse_graph(architecture)
        missing = MAX_VERTICES - 1 - len(graph)
        parent = (*graph[:-1], *(Vertex(rng.choice(tuple(OPS)), ()) for _ in range(missing)), graph[-1])
        while True:
            edges = edges_of(parent).symmetric_difference(pair for pair in _PAIRS if rng.random() < 1 / MAX_VERTICES)
            ops = [vertex.op for vertex in parent[:-1]]
            for index, op in enumerate(ops):
                if rng.random() < 1 / len(ops):
                    ops[index] = rng.choice([other for other in OPS if other != op])
            child = assemble(edges, ops)
            if child != parent and is_in_domain(child):
                return format_graph(child)

    def build(self, architecture: str, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
        """Return the network of the architecture's live vertices, in their order.

        Modules and their first weights come in the order of the published scoring code; ``initialise`` then
        draws every weight again, in that order.
        """
        network = NASBench101Network(live_graph(architecture), self._stem_channels, num_classes, in_channels)
        self._initialise(network)
        return network

    def validate(self, architecture: str) -> None:
        """Raise :class:`SpaceError` naming the vertex at fault, or the limit that the live graph breaks."""
        live_graph(architecture)

    def canonical(self, architecture: str) -> str:
        """Return the live graph in one order of vertices for all isomorphic graphs: equal where hashes are.

        Where output channels do not divide evenly, the first vertices get one more (:func:`vertex_channels`).
        So the canonical cell can differ from the given one by a channel in some vertices, and its parameter
        count from the benchmark's; the benchmark itself takes both for the same cell.
        """
        return format_graph(canonical_graph(live_graph(architecture)))

    def complexity(
        self, architecture: str, num_classes: int = 10, in_channels: int = 3, image_size: int = 32
    ) -> Complexity:
        """Return parameters and MACs, summed over the convolutions without making the network."""
        params = macs = (4 * self._stem_channels + 1) * num_classes
        for stack, kernel, c_in, c_out in convolutions(live_graph(architecture), self._stem_channels, in_channels):
            weights = kernel * kernel * c_in * c_out
            params += weights + 2 * c_out
            macs += weights * (image_size >> stack) ** 2
        return Complexity(params, macs)

    def graph(self, architecture: str) -> list[CellGraph]:
        """Return the cell, its operations on the vertices."""
        self.validate(architecture)
        vertices = parse_graph(architecture)
        labels = ["0\ninput", *(f"{number}\n{vertex.op}" for number, vertex in enumerate(vertices, start=1))]
        return [cell_graph("cell", labels, [(*edge, "") for edge in sorted(edges_of(vertices))])]

    @property
    def choices(self) -> Sequence[Sequence[str]]:
        """Whether there is an edge, for each of 21 pairs of 7 vertices, and the operations of 5 vertices."""
        return (("none", "edge"),) * len(_PAIRS) + (tuple(OPS),) * (MAX_VERTICES - 2)

    def decisions(self, architecture: str) -> tuple[int, ...]:
        """Return edges and operations, dead ones too; vertices that a smaller cell lacks are dead first operations."""
        self.validate(architecture)
        graph = parse_graph(architecture)
        missing = MAX_VERTICES - 1 - len(graph)
        full = (*graph[:-1], *[Vertex(next(iter(OPS)), ())] * missing, graph[-1])
        edges = edges_of(full)
        return (*(int(pair in edges) for pair in _PAIRS), *(list(OPS).index(vertex.op) for vertex in full[:-1]))

    def from_decisions(self, decisions: Sequence[int]) -> str:
        """Return the cell of these edges and operations.

        Raises:
            SpaceError: no path leads to the output, or more than 9 edges are live.
        """
        edges = {pair for pair, decision in zip(_PAIRS, decisions, strict=False) if decision}
        graph = assemble(edges, [tuple(OPS)[decision] for decision in decisions[len(_PAIRS) :]])
        if not is_in_domain(graph):
            raise SpaceError(f"architecture {format_graph(graph)!r} is not in the space: too many edges, or no path")
        return format_graph(graph)

    def graph_hash(self, architecture: str) -> str:
        """Return the benchmark's key of the cell, 32 hexadecimal digits, equal for isomorphic live graphs."""
        return graph_hash(live_graph(architecture))


class NASBench101Narrow(NASBench101):
    """NAS-Bench-101 as the published scoring code builds it: 16 channels in the stem, normal weights."""

    name = "nasbench101_16"
    skeleton = "3 stacks x 3 cells, 16-32-64 channels"
    source = "Ying et al. 2019, as Mellor et al. 2021 score it"

    def __init__(self, uniform: bool = False) -> None:
        super().__init__(stem_channels=16, uniform=uniform, initialise=draw_he_weights)


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
