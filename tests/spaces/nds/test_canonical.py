"""The canonical form of an NDS cell: equal forms compute the same function."""

import random
from dataclasses import replace

import torch
from torch import nn

from spaces.nds.genotype import Cell, CellArchitecture, canonical_cell, format_architecture
from tests.spaces.nds.architectures import DARTS, resized, sampled


def test_canonical_is_a_fixed_point_in_canonical_spelling():
    for space, architecture in sampled(12, concat_any=True):
        canonical = space.canonical(architecture)
        assert space.canonical(canonical) == canonical
        assert format_architecture(space.parse(canonical)) == canonical
        swapped = space.parse(architecture)
        edges = swapped.normal.edges
        exchanged = tuple(edge for pair in zip(edges[1::2], edges[::2], strict=True) for edge in pair)
        swapped = replace(swapped, normal=replace(swapped.normal, edges=exchanged))
        assert space.canonical(format_architecture(swapped)) == canonical


def _randomized(network):
    """Give BatchNorm weights, biases and statistics that training could lead to."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network


def _copy_by_edge(source, target):
    """Give ``target`` the weights of ``source``: edges of a node may have changed places or become zero."""
    weights = source.state_dict()
    for position, (old, new) in enumerate(zip(source.cells, target.cells, strict=True)):
        prefix = f"cells.{position}.operations"
        weights = {key: value for key, value in weights.items() if not key.startswith(f"{prefix}.")}
        for first in range(0, len(old.operations), 2):
            candidates = [first, first + 1]
            for edge in (first, first + 1):
                match = next((c for c in candidates if old.cell.edges[c] == new.cell.edges[edge]), None)
                if match is not None:
                    candidates.remove(match)
                    state = old.operations[match].state_dict()
                    weights |= {f"{prefix}.{edge}.{key}": value for key, value in state.items()}
    target.load_state_dict(weights)  # strict: every weight of the canonical network has a source


def test_canonical_computes_the_same_function():
    rng = random.Random(0)
    ops = ("none", "none", "none", "sep_conv_5x5", "skip_connect", "max_pool_3x3", "avg_pool_3x3")
    compared = list(sampled(1, concat_any=True))
    for _ in range(8):  # much is zero
        cells = []
        for _ in range(2):
            edges = [(rng.choice(ops), rng.randrange(2 + edge // 2)) for edge in range(2 * DARTS.nodes)]
            cells.append(Cell(tuple(edges), tuple(sorted(rng.sample(range(2, 6), rng.randint(1, 4))))))
        compared.append((DARTS, format_architecture(CellArchitecture(*cells, 2, 3))))
    for space, architecture in compared:
        architecture = resized(architecture)
        torch.manual_seed(0)
        full = _randomized(space.build(architecture)).eval()
        canonical = space.build(space.canonical(architecture)).eval()
        _copy_by_edge(full, canonical)
        images = torch.randn(2, 3, 8, 8)
        torch.testing.assert_close(full(images), canonical(images), rtol=1e-4, atol=1e-4)


def test_canonical_forms_of_small_cells():
    ops = ("none", "skip_connect", "max_pool_3x3", "conv_3x3")
    zero = ("none", 1), ("none", 0)
    pooled = Cell((*zero, ("max_pool_3x3", 2), ("conv_3x3", 0)), (3,))
    assert canonical_cell(pooled, ops, ("none", 0)).edges == (("none", 0),) * 3 + (("conv_3x3", 0),)
    convolved = Cell((*zero, ("conv_3x3", 2), ("conv_3x3", 0)), (3,))
    assert canonical_cell(convolved, ops, ("none", 0)).edges[2:] == (("conv_3x3", 0), ("conv_3x3", 2))
    unused = Cell((("conv_3x3", 0), ("conv_3x3", 1), ("conv_3x3", 0), ("conv_3x3", 0)), (3,))
    assert canonical_cell(unused, ops, ("skip_connect", 0)).edges[:2] == (("skip_connect", 0),) * 2
