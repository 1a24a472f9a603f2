"""Tables as large as the official ones, of invented values: opening one does not read all of it."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from naswot_lightning.benchmarks.records import Key
from naswot_lightning.benchmarks.table import Table, write_table
from spaces import get_space
from tests.conftest import ROOT

MOST_MEGABYTES = 250
PROGRAM = """
import re, sys
from naswot_lightning.benchmarks import open_benchmark
table = open_benchmark(sys.argv[1])
known = table.known[-1]
accuracy = table.accuracy(table.architectures[0], known.dataset, known.split)
assert accuracy == table.every_accuracy(known.dataset, known.split)[0], accuracy
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])  # that of rusage may be the parent's
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is not told here")
def test_opening_a_full_nasbench101_reads_only_the_columns_it_needs(tmp_path):
    rng, draws, rows = np.random.default_rng(0), random.Random(0), 423_624
    cells = [get_space("nasbench101").sample(draws) for _ in range(50)]
    columns = {
        Key("accuracy", "cifar10", split, epochs, seed, epochs): np.round(rng.random(rows) * 9_984) / 9_984 * 100
        for split in ("valid", "test")
        for epochs in (4, 12, 36, 108)
        for seed in range(3)
    }
    known = Table("known", "nasbench101", "", cells, {})
    hashes = [*known._identities, *(rng.bytes(16) for _ in range(rows - len(cells)))]
    table = Table("full", "nasbench101", "", [cells[row % 50] for row in range(rows)], columns, identities=hashes)
    write_table(table, tmp_path / "full.npz")
    command = [sys.executable, "-c", PROGRAM, tmp_path / "full.npz"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) / 1024 < MOST_MEGABYTES
