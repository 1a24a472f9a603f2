"""NAS-Bench-Macro: sizes of its table, networks that are the same, faults."""

import csv

import pytest
import torch

from naswot_lightning.spaces import Space, SpaceError, get_space
from tests.conftest import shared_path

SPACE = get_space("nasbench_macro")


def test_sizes_are_those_of_the_table():
    # The table leaves out the additions of the classifier's ten biases, which other benchmarks count.
    for key, params, macs in (("00000012", 1_623_082, 27_312_640), ("00000112", 1_742_762, 31_562_240)):
        found = SPACE.complexity(key)
        assert (found.params, found.macs - 10) == (params, macs)
    for key, classes, channels, size in (("00000000", 10, 3, 32), ("01201201", 7, 1, 30), ("22222222", 3, 3, 16)):
        counted = Space.complexity(SPACE, key, classes, channels, size)
        assert SPACE.complexity(key, classes, channels, size) == counted


def test_all_sizes_of_the_table():
    with open(shared_path("league", "nasbench-macro-600.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 600
    for row in rows:
        found = SPACE.complexity(row["architecture"])
        assert (found.params, found.macs - 10) == (int(row["params"]), int(row["macs"]))


def test_true_identities_of_a_stage_stand_last():
    assert SPACE.canonical("00001012") == "00010012"
    assert len({SPACE.canonical(key) for key in SPACE}) == 3_969
    outputs = []
    for key in ("01200102", SPACE.canonical("01200102")):
        torch.manual_seed(0)
        outputs.append(SPACE.build(key)(torch.ones(2, 3, 16, 16)))
    assert outputs[0].equal(outputs[1])


def test_order_and_faults():
    assert [len(SPACE), SPACE[0], SPACE[5], SPACE[-1]] == [6_561, "00000000", "00000012", "22222222"]
    for key, message in (("0120", "expected 8 digits, found 4"), ("01201203", "layer 8: '3', expected 0, 1 or 2")):
        with pytest.raises(SpaceError, match=message):
            SPACE.build(key)
