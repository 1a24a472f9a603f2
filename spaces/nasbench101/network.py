"""The networks of NAS-Bench-101: stem, stacks of cells, classifier, and how their weights are drawn."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from spaces.layers import GlobalAveragePool
from spaces.nasbench101.graph import Graph

KERNELS = {"conv3x3": 3, "conv1x1": 1}
STACKS = 3
CELLS_PER_STACK = 3


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


class NASBench101Network(nn.Module):
    """Stem, three stacks of three cells with max-pooling between and doubling widths, classifier.

    Images (N, in_channels, H, W) to logits (N, num_classes).
    """

    def __init__(self, graph: Graph, stem_channels: int, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.stem = ConvBnRelu(in_channels, stem_channels, 3)
        blocks: list[nn.Module] = []
        c_in = c_out = stem_channels
        for stack in range(STACKS):
            if stack > 0:
                blocks.append(nn.MaxPool2d(2, 2))
                c_out *= 2
            for _ in range(CELLS_PER_STACK):
                blocks.append(NASBench101Cell(graph, c_in, c_out))
                c_in = c_out
        self.cells = nn.Sequential(*blocks)
        self.pool = GlobalAveragePool()
        self.classifier = nn.Linear(c_out, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.classifier(self.pool(self.cells(self.stem(images))))


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
