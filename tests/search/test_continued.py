import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import read_ranking
from naswot_lightning.storage.files import lock_folder
from tests.conftest import ROOT
from tests.search.runs import QUICK, SPACE, files_of, rows_of


def test_running_again_changes_nothing_and_scores_nothing(finished, monkeypatch):
    before = files_of(finished), (finished / "scores.jsonl").read_bytes()

    def refuse(*_):
        raise AssertionError("scored again")

    monkeypatch.setattr(type(SPACE), "build", refuse)
    for overwrite in (False, True):  # of the same settings, it keeps what is finished
        assert run_search(SearchConfig(run_dir=str(finished), overwrite=overwrite, **QUICK)) == 0
        assert (files_of(finished), (finished / "scores.jsonl").read_bytes()) == before


@pytest.fixture
def run(finished, tmp_path):
    """A copy of what a finished search needs to go on."""
    (tmp_path / "run").mkdir()
    for name in ("scores.jsonl", "config.yaml"):
        (tmp_path / "run" / name).write_bytes((finished / name).read_bytes())
    return tmp_path / "run"


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_line_cut_by_a_crash_is_scored_again(finished, run, cut):
    (run / "scores.jsonl").write_bytes((run / "scores.jsonl").read_bytes()[:-cut])
    assert run_search(SearchConfig(run_dir=str(run), **QUICK)) == 0
    assert files_of(run) == files_of(finished)
    assert len(rows_of(run)) == 6


def test_damaged_line_inside_the_file_is_named(run):
    first, *rest = (run / "scores.jsonl").read_text().splitlines()
    (run / "scores.jsonl").write_text("\n".join([first, "{broken", *rest]) + "\n")
    with pytest.raises(UserError, match=r"scores.jsonl, line 2: not a finished candidate .*; remove the line"):
        run_search(SearchConfig(run_dir=str(run), **QUICK))


def test_changed_data_is_noticed(run):
    rows = [{**row, "probe": "0" * 16} for row in rows_of(run)]
    (run / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="the data has changed"):
        run_search(SearchConfig(run_dir=str(run), **QUICK))


def test_other_settings_are_refused_named_and_overwritten_on_request(tmp_path):
    run = str(tmp_path / "run")
    run_search(SearchConfig(run_dir=run, **QUICK))
    before = (tmp_path / "run" / "scores.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"seed was 0, now 1.*--overwrite"):
        run_search(SearchConfig(run_dir=run, seed=1, **QUICK))
    assert (tmp_path / "run" / "scores.jsonl").read_bytes() == before
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert run_search(SearchConfig(run_dir=run, seed=1, overwrite=True, **QUICK)) == 0
    assert {row["seed"] for row in rows_of(tmp_path / "run")} == {1}
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_two_processes_cannot_share_a_folder(finished):
    with lock_folder(finished), pytest.raises(UserError, match="in use by another process"):
        run_search(SearchConfig(run_dir=str(finished), **QUICK))


def _small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))


@pytest.mark.slow
def test_command_line_on_a_full_disk(search, tmp_path):
    result = search("--samples", 12, "--batch_size", 8, "--run_dir", tmp_path / "run", preexec_fn=_small_files)
    assert result.returncode == 2
    assert "raise the limit on file sizes" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    again = search("--samples", 12, "--batch_size", 8, "--run_dir", tmp_path / "run")
    assert again.returncode == 0
    assert len(read_ranking(tmp_path / "run")) == 12


def test_killed_at_any_moment_the_ranking_is_the_same(tmp_path):
    """SIGKILL at three moments, run again each time: the ranking is byte-identical."""
    command = [sys.executable, "search.py", "--samples", "40", "--batch_size", "32", "--wandb.mode", "disabled"]
    rng = random.Random(time.time_ns())
    run = tmp_path / "killed"
    for _ in range(3):
        process = subprocess.Popen(
            [*command, "--run_dir", str(run)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        start = len((run / "scores.jsonl").read_bytes()) if (run / "scores.jsonl").exists() else 0
        wanted = start + rng.randint(200, 4_000)
        while time.monotonic() < deadline and process.poll() is None:
            if (run / "scores.jsonl").exists() and (run / "scores.jsonl").stat().st_size >= wanted:
                break
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    for folder in (run, tmp_path / "whole"):
        done = subprocess.run([*command, "--run_dir", str(folder)], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    assert files_of(run) == files_of(tmp_path / "whole")


def test_a_file_where_the_run_folder_should_be(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="there is a file of that name"):
        run_search(SearchConfig(run_dir=str(tmp_path / "run"), **QUICK))
    with pytest.raises(UserError, match="there is a file of that name"):
        run_search(SearchConfig(run_dir=str(tmp_path / "run" / "inside"), **QUICK))
