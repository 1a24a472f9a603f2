"""The cell spaces of NDS (Radosavovic et al., 2019): five sets of operations in one skeleton.

An architecture is a normal and a reduce cell with the width and depth of the network, written as
:mod:`naswot_lightning.spaces.nds.genotype` says.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from torch import nn

from naswot_lightning.spaces.base import Space
from naswot_lightning.spaces.errors import MAX_PARAMS, SpaceError, expect_buildable, expect_option, quoted
from naswot_lightning.spaces.graph import CellGraph, cell_graph
from naswot_lightning.spaces.nds.genotype import (
    CELL_INPUTS,
    MAX_DEPTH,
    MAX_WIDTH,
    Cell,
    CellArchitecture,
    Edge,
    canonical_architecture,
    estimate_cell_params,
    format_architecture,
    largest_architecture,
    parse_architecture,
    read_genotype,
)
from naswot_lightning.spaces.nds.network import NDSNetwork

# Of the networks for CIFAR-10 in the NDS data.
WIDTHS = (16, 24, 32)
DEPTHS = (4, 8, 12, 16, 20)

# As DARTS prints it, or as its file of genotypes has it.
_GENOTYPE = re.compile(r"(\w+\s*=\s*)?Genotype\(")


def _count(ops: Sequence[str], nodes: int) -> str:
    """Return the size of a space: a node draws two operations and two of the states before it."""
    cells = f"{(len(ops) ** nodes * math.factorial(nodes + 1)) ** 2:.2g}".replace("e+", "e")
    return f"({cells} cells)^2 x {len(WIDTHS)} widths x {len(DEPTHS)} depths"


class CellSpace(Space):
    """Cells of a fixed number of nodes, each the sum of two operations on any two earlier states.

    With a width and a depth it is the space of the "fix-w-d" files of the NDS data.

    Args:
        width: of every sampled network; by default each draws one of 16, 24, 32.
        depth: of every sampled network; by default each draws one of 4, 8, 12, 16, 20.
        imagenet: sample networks with the skeleton for large images.
    """

    skeleton = "4 to 20 cells, 2 of them reduce; width 16 to 32"
    made_for = "32x32: CIFAR-10; 224x224: ImageNet"
    has_training_parts = True
    builds_on_meta = True
    ops: ClassVar[tuple[str, ...]]
    nodes: ClassVar[int] = 5
    # Which nodes sampled cells concatenate: all, or those that no other node takes as input.
    concat_all: ClassVar[bool] = False

    def __init__(self, width: int | None = None, depth: int | None = None, imagenet: bool = False) -> None:
        self.widths = WIDTHS if width is None else (width,)
        self.depths = DEPTHS if depth is None else (depth,)
        self.imagenet = imagenet
        expect_option("width", min(self.widths), 2 if imagenet else 1, MAX_WIDTH)
        expect_option("depth", min(self.depths), 1, MAX_DEPTH)
        # So that every cell can be sampled.
        widest, deepest = max(self.widths), max(self.depths)
        most = estimate_cell_params(largest_architecture(self.ops, self.nodes, widest, deepest))
        expect_buildable(f"width {widest} with depth {deepest}, the largest network", most)

    def with_training_parts(self, architecture: str, auxiliary: bool, drop_path: float) -> str:
        """Return the architecture with an auxiliary head and a first probability of drop path."""
        plain = self.parse(architecture)
        return format_architecture(
            replace(plain, auxiliary=auxiliary or plain.auxiliary, drop_path=drop_path or plain.drop_path)
        )

    def sample(self, rng: random.Random) -> str:
        """Draw operations, inputs, width and depth uniformly."""
        normal, reduce = self._sample_cell(rng), self._sample_cell(rng)
        return format_architecture(
            CellArchitecture(normal, reduce, rng.choice(self.widths), rng.choice(self.depths), self.imagenet)
        )

    def mutate(self, architecture: str, rng: random.Random) -> str:
        """Change one thing, drawn uniformly: an operation or an input in either cell, the width or the depth.

        The mutated cell concatenates its nodes by the rule of the space. What would be too large is drawn again.
        """
        parent, sizes = self.parse(architecture), {"width": self.widths, "depth": self.depths}
        # Cell, edge and part: its operation (0) or its input (1).
        changes = list(itertools.product(("normal", "reduce"), range(2 * self.nodes), (0, 1)))
        changes += [(name, 0, 0) for name in sizes if any(each != getattr(parent, name) for each in sizes[name])]
        while True:
            name, edge, part = rng.choice(changes)
            if name in sizes:
                value = rng.choice([each for each in sizes[name] if each != getattr(parent, name)])
                child = replace(parent, width=value) if name == "width" else replace(parent, depth=value)
            else:
                edges = list(getattr(parent, name).edges)
                op, source = edges[edge]
                if part == 0:
                    op = rng.choice([each for each in self.ops if each != op])
                else:
                    source = rng.choice([each for each in range(CELL_INPUTS + edge // 2) if each != source])
                edges[edge] = (op, source)
                cell = self._cell(edges)
                child = replace(parent, normal=cell) if name == "normal" else replace(parent, reduce=cell)
            if estimate_cell_params(child) <= MAX_PARAMS:
                return format_architecture(child)

    def build(self, architecture: str, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
        """Return the network; weights are drawn in the order in which the published code draws them.

        In eval mode it returns logits. In train mode drop path is on, and an auxiliary head makes it return
        (logits, auxiliary logits).
        """
        return NDSNetwork(self.parse(architecture), num_classes, in_channels)

    def read(self, text: str) -> str:
        """Return the architecture of a genotype as DARTS prints it, with the width and depth of the space's options."""
        if not _GENOTYPE.match(text):
            return text
        if len(self.widths) > 1 or len(self.depths) > 1:
            raise SpaceError(
                f"{quoted(text)} has no width and depth; give them: --space {type(self).name}:width=16,depth=8"
            )
        normal, reduce = read_genotype(text)
        return format_architecture(CellArchitecture(normal, reduce, self.widths[0], self.depths[0], self.imagenet))

    def validate(self, architecture: str) -> None:
        """Raise :class:`SpaceError` naming the cell, node, operation or input that is not of the space."""
        self.parse(architecture)

    def canonical(self, architecture: str) -> str:
        """Return the architecture with zero and dead edges written alike and inputs in a fixed order.

        See :func:`naswot_lightning.spaces.nds.genotype.canonical_cell`.
        """
        return format_architecture(canonical_architecture(self.parse(architecture), self.ops))

    def parse(self, architecture: str) -> CellArchitecture:
        """Read an architecture of this space; a SpaceError names what is not, a TooLargeError what is too large."""
        parsed = parse_architecture(architecture, self.ops, self.nodes)
        expect_buildable(f"architecture {quoted(architecture)}", estimate_cell_params(parsed))
        return parsed

    def graph(self, architecture: str) -> list[CellGraph]:
        """Return the normal and the reduce cell, their operations on the edges."""
        parsed = self.parse(architecture)
        reducing = len({parsed.depth // 3, 2 * parsed.depth // 3})
        return [
            _graph_of_cell(f"normal cell: {parsed.depth - reducing} of {parsed.depth} cells", parsed.normal),
            _graph_of_cell(f"reduce cell: {reducing} of {parsed.depth} cells", parsed.reduce),
        ]

    def _sample_cell(self, rng: random.Random) -> Cell:
        edges: list[Edge] = []
        for state in range(CELL_INPUTS, CELL_INPUTS + self.nodes):
            edges += [(rng.choice(self.ops), rng.randrange(state)) for _ in range(2)]
        return self._cell(edges)

    def _cell(self, edges: Sequence[Edge]) -> Cell:
        used = set() if self.concat_all else {source for _, source in edges}
        states = range(CELL_INPUTS, CELL_INPUTS + self.nodes)
        return Cell(tuple(edges), tuple(state for state in states if state not in used))


def _graph_of_cell(title: str, cell: Cell) -> CellGraph:
    labels = ["0: cell\nbefore last", "1: last\ncell", *map(str, cell.nodes), "output:\nconcat"]
    edges = [(source, CELL_INPUTS + index // 2, op) for index, (op, source) in enumerate(cell.edges)]
    joined = [(node, len(labels) - 1, "") for node in cell.concat]
    return cell_graph(title, labels, edges + joined, inputs=CELL_INPUTS)


def _published(naswot: str, networks: str, sizes: str) -> str:
    """Return what is known of a space of NDS of which we have no accuracies ourselves."""
    return (
        f"published, not measured by us: Kendall's tau with test accuracy on CIFAR-10 naswot {naswot} over {networks} "
        f"random networks (Mellor et al. 2021), MACs / parameters {sizes} (Akhauri et al. 2022); without intervals."
    )


class NASNetSpace(CellSpace):
    """The space of NASNet (Zoph et al., 2018): 13 operations, 5 nodes, loose ends concatenated."""

    name = "nds_nasnet"
    source = "Zoph et al. 2018; NDS: Radosavovic et al. 2019"
    evidence = _published(".304", "1,000", ".20 / .21")
    ops = (
        "skip_connect", "conv_3x1_1x3", "conv_7x1_1x7", "dil_conv_3x3", "avg_pool_3x3", "max_pool_3x3",
        "max_pool_5x5", "max_pool_7x7", "conv_1x1", "conv_3x3", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7",
    )  # fmt: skip
    size = _count(ops, CellSpace.nodes)


class AmoebaSpace(CellSpace):
    """The space of AmoebaNet (Real et al., 2019): 8 operations, 5 nodes, loose ends concatenated."""

    name = "nds_amoeba"
    source = "Real et al. 2019; NDS: Radosavovic et al. 2019"
    evidence = _published(".223", "900", ".26 / .26")
    ops = (
        "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "avg_pool_3x3", "max_pool_3x3",
        "dil_sep_conv_3x3", "conv_7x1_1x7",
    )  # fmt: skip
    size = _count(ops, CellSpace.nodes)


class PNASSpace(CellSpace):
    """The space of PNASNet (Liu et al., 2018): 8 operations, 5 nodes, all concatenated."""

    name = "nds_pnas"
    source = "Liu et al. 2018; NDS: Radosavovic et al. 2019"
    evidence = _published(".382", "973", ".34 / .32")
    concat_all = True
    ops = (
        "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "conv_7x1_1x7", "skip_connect", "avg_pool_3x3",
        "max_pool_3x3", "dil_conv_3x3",
    )  # fmt: skip
    size = _count(ops, CellSpace.nodes)


class ENASSpace(CellSpace):
    """The space of ENAS (Pham et al., 2018): 5 operations, 5 nodes, loose ends concatenated."""

    name = "nds_enas"
    source = "Pham et al. 2018; NDS: Radosavovic et al. 2019"
    evidence = _published(".365", "749", ".47 / .47")
    ops = ("skip_connect", "sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3")
    size = _count(ops, CellSpace.nodes)


class DARTSSpace(CellSpace):
    """The space of DARTS (Liu et al., 2019): 8 operations, ``none`` among them, 4 nodes, all concatenated."""

    name = "nds_darts"
    source = "Liu et al. 2019; NDS: Radosavovic et al. 2019"
    # docs/scores.md and docs/score-evidence.md have these figures.
    evidence = (
        "which score ranks it best depends on its skeleton: model size on 350 cells in networks of 16 channels and 8 "
        "cells (Kendall's tau with CIFAR-10 accuracy .604; naswot .474), --score diversity on 545 after 50 epochs in "
        "networks of 20 cells, scored with 4 channels (.451 [.408, .494]; naswot .161, MACs .089). On the 350 --score "
        "robust .578 [.534, .618], and diversity is not measured; chosen without the 545 it has .442 [.397, .485]; "
        "and " + _published(".467", "1,000", ".51 / .50")
    )
    nodes = 4
    concat_all = True
    ops = (
        "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
        "dil_conv_5x5",
    )  # fmt: skip
    size = _count(ops, nodes)
