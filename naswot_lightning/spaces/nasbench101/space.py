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

import functools
import itertools
import math
import operator
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from naswot_lightning.spaces.base import Complexity, Space
from naswot_lightning.spaces.errors import SpaceError, expect_option
from naswot_lightning.spaces.graph import CellGraph, cell_graph
from naswot_lightning.spaces.layers import GlobalAveragePool, draw_he_weights
from naswot_lightning.spaces.nasbench101.graph import (
    MAX_EDGES,
    MAX_VERTICES,
    OPS,
    Graph,
    Vertex,
    assemble,
    canonical_graph,
    edges_of,
    format_graph,
    is_in_domain,
    live_graph,
    parse_graph,
    prune,
    renumberings,
)

KERNELS = {"conv3x3": 3, "conv1x1": 1}
STACKS = 3
CELLS_PER_STACK = 3
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
        "model size ranks it better than naswot does, --score diversity better than both. Kendall's tau with test "
        "accuracy on CIFAR-10 over uniformly drawn cells, 16 channels in the stem: of 1,000, 16 CIFAR-10 images, "
        "parameters .295, naswot .243, --score diversity .606 [.580, .631], chosen without this space .616 "
        "[.590, .641]; of 300 others, 128 images, MACs .281, naswot .213, --score robust .469 [.406, .528]."
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
        0.4% of the draws, and ``output~0`` alone has 10% (5,000 draws). With ``uniform``, each of the cells is drawn
        with equal probability, as the paper draws from the benchmark's table.
        """
        if self._uniform:
            (size,) = rng.choices(list(CELLS), list(CELLS.values()))
            return format_graph(uniform_cell(size, rng))
        while True:
            chosen = {edge for edge in _PAIRS if rng.random() < 0.5}
            graph = assemble(chosen, [rng.choice(tuple(OPS)) for _ in range(MAX_VERTICES - 2)])
            if is_in_domain(graph):
                return format_graph(graph)

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
        """Raise :class:`SpaceError` naming the vertex that is malformed, or the limit that the live graph breaks."""
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
        """Return the cell of these edges and operations; one that is not in the space is a SpaceError."""
        edges = {pair for pair, decision in zip(_PAIRS, decisions, strict=False) if decision}
        graph = assemble(edges, [tuple(OPS)[decision] for decision in decisions[len(_PAIRS) :]])
        if not is_in_domain(graph):
            raise SpaceError(f"architecture {format_graph(graph)!r} is not in the space: too many edges, or no path")
        return format_graph(graph)


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


def vertex_channels(graph: Graph, c_in: int, c_out: int) -> list[int]:
    """Return the output channels of every vertex of a pruned graph, the input's and the output's included.

    Vertices that feed the output share its channels evenly, the first ones taking one more where there is a
    remainder; any other vertex has as many as the widest vertex that it feeds.
    """
    last = len(graph)
    feeding = [source for source in graph[-1].sources if source > 0]
    channels = [c_in, *[0] * (last - 1), c_out]
    for index, number in enumerate(feeding):
        channels[number] = c_out // len(feeding) + (index < c_out % len(feeding))
    for number in range(last - 2, 0, -1):
        if number not in feeding:
            channels[number] = max(channels[t] for t in range(number + 1, last) if number in graph[t - 1].sources)
    return channels


def convolutions(graph: Graph, stem_channels: int, in_channels: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the stack, kernel size and channels in and out of every convolution of a :class:`NASBench101Network`."""
    yield 0, 3, in_channels, stem_channels
    c_in = stem_channels
    for stack in range(STACKS):
        c_out = stem_channels << stack
        for _ in range(CELLS_PER_STACK):
            channels = vertex_channels(graph, c_in, c_out)
            for number, vertex in enumerate(graph, start=1):
                if 0 in vertex.sources:
                    yield stack, 1, c_in, channels[number]
                if vertex.op in KERNELS:
                    yield stack, KERNELS[vertex.op], channels[number], channels[number]
            c_in = c_out


class NASBench101Network(nn.Sequential):
    """Stem, three stacks of three cells with max-pooling between and doubling widths, classifier.

    Images (N, in_channels, H, W) to logits (N, num_classes).
    """

    def __init__(self, graph: Graph, stem_channels: int, num_classes: int, in_channels: int = 3) -> None:
        stem = ConvBnRelu(in_channels, stem_channels, 3)
        blocks: list[nn.Module] = []
        c_in = c_out = stem_channels
        for stack in range(STACKS):
            if stack > 0:
                blocks.append(nn.MaxPool2d(2, 2))
                c_out *= 2
            for _ in range(CELLS_PER_STACK):
                blocks.append(NASBench101Cell(graph, c_in, c_out))
                c_in = c_out
        cells, classifier = nn.Sequential(*blocks), nn.Linear(c_out, num_classes)
        super().__init__(OrderedDict(stem=stem, cells=cells, pool=GlobalAveragePool(), classifier=classifier))


class NASBench101Cell(nn.Module):
    """One cell: (N, c_in, H, W) to (N, c_out, H, W).

    A vertex takes the sum of its sources, cut to its channels; the cell's input comes to each vertex by a
    projection of its own. The output is the concatenation of its sources, plus the projected input if an edge
    joins them.
    """

    def __init__(self, graph: Graph, c_in: int, c_out: int) -> None:
        super().__init__()
        self.channels = vertex_channels(graph, c_in, c_out)
        self.interior = [tuple(source for source in vertex.sources if source > 0) for vertex in graph]
        self.operations = nn.ModuleList(
            ConvBnRelu(width, width, KERNELS[vertex.op]) if vertex.op in KERNELS else nn.MaxPool2d(3, 1, padding=1)
            for vertex, width in zip(graph[:-1], self.channels[1:-1], strict=True)
        )
        self.projections = nn.ModuleDict(
            {str(v): ConvBnRelu(c_in, self.channels[v], 1) for v, vertex in enumerate(graph, 1) if 0 in vertex.sources}
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the output vertex."""
        values = [x]
        for number, operation in enumerate(self.operations, start=1):
            width = self.channels[number]
            # A source is at most one channel wider: see vertex_channels.
            terms = [values[source][:, :width] for source in self.interior[number - 1]]
            values.append(operation(self._sum(number, terms, x)))
        parts = [values[source] for source in self.interior[-1]]
        return self._sum(len(values), [torch.cat(parts, 1)] if parts else [], x)

    def _sum(self, number: int, terms: list[Tensor], x: Tensor) -> Tensor:
        if str(number) in self.projections:
            terms = [*terms, self.projections[str(number)](x)]
        return functools.reduce(operator.add, terms)


class ConvBnRelu(nn.Sequential):
    """Convolution without bias, BatchNorm, ReLU: (N, c_in, H, W) to (N, c_out, H, W).

    The class name matters: it must not hold "ReLU", or ``naswot_score(..., variant="reference")`` would count
    the unit twice, which the published code does not here.
    """

    def __init__(self, c_in: int, c_out: int, kernel_size: int) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel_size, padding=kernel_size // 2, bias=False),
            # 0.997 in TensorFlow's convention.
            nn.BatchNorm2d(c_out, eps=1e-5, momentum=0.003),
            nn.ReLU(inplace=True),
        )


def draw_benchmark_weights(network: nn.Module) -> None:
    """Draw weights as the benchmark's TensorFlow code does.

    Convolutions: a normal distribution cut at two standard deviations, variance 1 / fan-in after the cut; the
    classifier: Glorot's uniform distribution, no bias.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            # 0.8796... is the standard deviation of a unit normal distribution cut at -2 and 2.
            spread = math.sqrt(1 / module.weight[0].numel()) / 0.87962566103423978
            nn.init.trunc_normal_(module.weight, std=spread, a=-2 * spread, b=2 * spread)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
