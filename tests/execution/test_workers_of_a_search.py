import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, slow

COMMAND = [
    sys.executable, "search.py", "--samples", "60", "--batch_size", "16", "--workers", "2", "--wandb.mode", "disabled",
]  # fmt: skip


def children_of(pid):
    """Return the processes that a process has started, however deep."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        direct = [int(child) for child in file.read().split()]
    return direct + [deeper for child in direct for deeper in children_of(child)]


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def scores_in(folder):
    path = folder / "scores.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def begun(folder):
    process = subprocess.Popen(
        [*COMMAND, "--run_dir", folder], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: scores_in(folder) >= 4)
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_worker_that_dies_is_one_line_and_loses_nothing(tmp_path):
    process = begun(tmp_path / "run")
    for child in children_of(process.pid):
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
            break
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    told = [line for line in errors.splitlines() if "warning" in line]
    assert len(told) == 1
    assert (
        "a worker was killed by SIGKILL, as Linux does where memory runs out; what it was at is tried again" in told[0]
    )
    assert "Traceback" not in errors
    rows = [json.loads(line) for line in (tmp_path / "run" / "scores.jsonl").read_text().splitlines()]
    assert len({row["architecture"] for row in rows}) == len(rows) == 60
    assert "best 10 of 60" in output
    assert "failed" not in {row["status"] for row in rows}


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
@pytest.mark.parametrize("sent", [signal.SIGKILL, *slow(signal.SIGINT, signal.SIGTERM)])
def test_workers_end_with_their_parent(tmp_path, sent):
    process = begun(tmp_path / "run")
    family = children_of(process.pid)
    assert len(family) >= 2
    for pid in [process.pid, *(family if sent == signal.SIGINT else [])]:  # Ctrl-C reaches all of a terminal's
        os.kill(pid, sent)
    _, errors = process.communicate(timeout=60)
    wait_until(lambda: not any(is_running(pid) for pid in family), seconds=20)
    if sent != signal.SIGKILL:
        assert process.returncode == 130
        assert "Traceback" not in errors
        assert "interrupted; run the same command again to continue" in errors
