"""Architectures of the NDS cell spaces: strings, sampling, mutation, canonical forms."""

import random
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

from naswot_lightning.spaces import SpaceError, get_space
from naswot_lightning.spaces.nds.genotype import Cell, CellArchitecture, format_architecture
from tests.spaces.nds.architectures import CELL_SPACES, DARTS, SMALL, resized, sampled


def loose_ends(cell):
    return set(cell.nodes) - {source for _, source in cell.edges}


def test_sampling_draws_every_operation_and_every_input_equally_often():
    for space, rng in ((get_space(name), random.Random(1)) for name in CELL_SPACES):
        cells = [space.parse(space.sample(rng)).normal for _ in range(400)]
        ops = Counter(op for cell in cells for op, _ in cell.edges)
        assert [ops[op] / ops.total() for op in space.ops] == pytest.approx(
            [1 / len(space.ops)] * len(space.ops), abs=0.03
        )
        last, states = Counter(cell.edges[-1][1] for cell in cells), space.nodes + 1
        assert [last[i] / 400 for i in range(states)] == pytest.approx([1 / states] * states, abs=0.08)


def test_mutation_changes_one_thing():
    for space, architecture in sampled(8):
        before, after = space.parse(architecture), space.parse(space.mutate(architecture, random.Random(0)))
        edges = zip(before.normal.edges + before.reduce.edges, after.normal.edges + after.reduce.edges, strict=True)
        differences = sum((a[0] != b[0]) + (a[1] != b[1]) for a, b in edges)
        assert differences + (before.width != after.width) + (before.depth != after.depth) == 1
        for cell in (after.normal, after.reduce):
            assert set(cell.concat) == (set(cell.nodes) if space.concat_all else loose_ends(cell))


def test_malformed_architecture_is_refused_with_its_position():
    faults = [
        ("|normal", "normal", "expected 3 parts joined by '\\|', found 2"),
        ("C4-L3", "C4", "must begin with the width and depth, as C16-L8"),
        ("C4-L3", "C4-L3-imgnet", "unknown option 'imgnet', .* did you mean 'imagenet'"),
        ("C4-L3", "C4-L3-drop2", "'drop2' must be a probability below 1"),
        ("->2,3,4,5|", "|", "normal cell: no '->'"),
        ("sep_conv_3x3~0+sep_conv_3x3~1;", "", "normal cell: expected 4 nodes separated by ';', found 2"),
        ("dil_conv_3x3", "dilconv_3x3", "node 5: unknown operation 'dilconv_3x3', .* did you mean 'dil_conv_3x3'"),
        ("dil_conv_3x3~2", "dil_conv_3x3~5", "has the input '5', expected one of 0, 1, 2, 3, 4"),
        ("->2,3,4,5|", "->2,3,4,6|", "normal cell: '6' after '->' is not a node, expected some of 2, 3, 4, 5"),
        ("->2,3,4,5|", "->3,2|", "must ascend"),
    ]
    for old, new, message in faults:
        assert old in SMALL
        with pytest.raises(SpaceError, match=message):
            DARTS.build(SMALL.replace(old, new))


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
