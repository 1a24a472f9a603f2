"""Tables as large as the official ones, of invented figures: what opening one costs."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from naswot_lightning.benchmarks.cells import cell_hash, pack_cell
from naswot_lightning.benchmarks.columns import MemoryColumns
from naswot_lightning.benchmarks.index import CellIndex, StringIndex
from naswot_lightning.benchmarks.records import Key
from naswot_lightning.benchmarks.table import Table
from naswot_lightning.benchmarks.table_file import write_table
from spaces import get_space
from tests.conftest import ROOT

SPLITS = {
    "cifar10-valid": ("train", "x-valid", "ori-test"), "cifar10": ("train", "ori-test"),
    **dict.fromkeys(("cifar100", "ImageNet16-120"), ("train", "x-valid", "x-test", "ori-test")),
}  # fmt: skip
MOST_SECONDS, MOST_MEGABYTES = 1.0, 200
PROGRAM = """
import re, sys, time
begun = time.perf_counter()
from naswot_lightning.benchmarks import open_benchmark
table = open_benchmark(sys.argv[1])
known = table.known[-1]
accuracy = table.accuracy(table.architectures[0], known.dataset, known.split)
assert accuracy == table.every_accuracy(known.dataset, known.split)[0], accuracy
spent = time.perf_counter() - begun
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]  # that of rusage may be the parent's
print(spent, int(peak) / 1024)
"""


def nasbench201(rng):
    architectures = tuple(get_space("nasbench201"))
    columns = {
        Key(measure, dataset, split, epochs, seed, epochs): np.round(rng.random(len(architectures)) * 10_000) / 100
        for dataset, splits in SPLITS.items()
        for split in splits
        for epochs in (12, 200)
        for seed in (777, 888, 999)
        for measure in ("accuracy", "loss", "seconds")
    }
    return Table("full", "nasbench201", "", StringIndex(architectures), MemoryColumns(columns))


def nasbench101(rng):
    rows, space, draws = 423_624, get_space("nasbench101"), random.Random(0)
    cells = [space.sample(draws) for _ in range(50)]
    hashes = rng.integers(0, 256, (rows, 16), dtype=np.uint8)
    hashes[:50] = [list(cell_hash(cell)) for cell in cells]
    packed = np.resize(np.array([pack_cell(cell) for cell in cells], np.uint64), rows)
    columns = {
        Key("accuracy", "cifar10", split, epochs, seed, epochs): np.round(rng.random(rows) * 9_984) / 9_984 * 100
        for split in ("train", "valid", "test")
        for epochs in (4, 12, 36, 108)
        for seed in range(3)
    }
    return Table("full", "nasbench101", "", CellIndex(hashes, packed), MemoryColumns(columns))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is not told here")
@pytest.mark.parametrize("make", [nasbench201, nasbench101])
def test_opening_is_quick_and_small(make, tmp_path):
    write_table(make(np.random.default_rng(0)), tmp_path / "full.npz")
    command = [sys.executable, "-c", PROGRAM, tmp_path / "full.npz"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < MOST_SECONDS
    assert megabytes < MOST_MEGABYTES
