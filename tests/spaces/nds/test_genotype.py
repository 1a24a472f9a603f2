"""Architectures of the NDS cell spaces: strings, sampling, mutation."""

import itertools
import random
from collections import Counter

import pytest

from spaces import SpaceError, get_space
from spaces.nds.cells import DEPTHS, WIDTHS
from spaces.nds.genotype import CellArchitecture, format_architecture, parse_architecture
from tests.spaces.nds.architectures import CELL_SPACES, DARTS, SMALL, sampled


def loose_ends(cell):
    return set(cell.nodes) - {source for _, source in cell.edges}


def test_sampled_architectures_round_trip_and_follow_the_rule_of_the_output():
    for space, architecture in sampled(4):
        parsed = space.parse(architecture)
        assert format_architecture(parsed) == architecture
        assert (parsed.width in WIDTHS, parsed.depth in DEPTHS) == (True, True)
        for cell in (parsed.normal, parsed.reduce):
            assert set(cell.concat) == (set(cell.nodes) if space.concat_all else loose_ends(cell))


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


def test_settings_round_trip():
    cells, drops = DARTS.parse(SMALL), (0.0, 0.1, 1e-9, 0.2999999999999999, 0.999)
    for width, depth, imagenet, auxiliary, drop in itertools.product(
        (2, 300), (1, 50), (False, True), (False, True), drops
    ):
        architecture = CellArchitecture(cells.normal, cells.reduce, width, depth, imagenet, auxiliary, drop)
        assert parse_architecture(format_architecture(architecture), DARTS.ops, DARTS.nodes) == architecture


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
