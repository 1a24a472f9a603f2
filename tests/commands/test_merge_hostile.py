"""Folders that are no shards of one search, or were meddled with, are refused; a merge that is cut off is mended."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

import spaces
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.storage.files import lock_folder
from tests.commands.own_space import CODE
from tests.commands.shards import NOISE, assert_refused, change, merge, parts_of, rewrite
from tests.conftest import ROOT
from tests.search.runs import files_of, rows_of


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    run_search(SearchConfig(run_dir=str(folder / "whole"), **NOISE | {"samples": 2}))
    run_search(SearchConfig(run_dir=str(folder / "half"), shard="1/2", **NOISE | {"samples": 2}))
    run_search(SearchConfig(run_dir=str(folder / "other"), shard="3/3", seed=1, **NOISE))
    return folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected the run folders of all shards"),
        (("part1", "part2"), "not all 3 shards are finished: 3/3 is missing; run python search.py --config part1/"),
        (("part3",), "1/3 is missing, 2/3 is missing; run python search.py --config part3/config.yaml --shard 1/3 "),
        (("part1", "part2", "part3", "part2"), "part2 and part2 are both shard 2/3: give one of them"),
        (("part1", "part2", "absent"), "absent: no run in it; expected the run folder of a shard"),
        (("part1", "part2", ""), "expected the name of a folder"),
        (("part1", "part2", "whole"), "whole is no shard: it is of a search without --shard"),
        (("part1", "part2", "half"), "half is shard 1/2, and part1 is shard 1/3: expected the shards of one search"),
        (("part1", "part2", "other"), "other is of another search than part1: seed 1, not 0; expected"),
        (("part1", "part2", "part3", "--run_dir", "part3"), "--run_dir part3: it is shard 3/3; choose another"),
        (("part1", "part2", "part3", "--run_dir", "whole"), "whole was made with other settings: samples was 2, now 6"),
        (("part1", "part2", "part3", "--run_dir", "whole/config.yaml"), "there is a file of that name"),
        (("part1", "part2", "part3", "--space", "nats_size"), "--space nats_size: part1 is of nasbench201"),
        (("part1", "part2", "part3", "--batch_size", "8"), "unknown option --batch_size"),
        (("part1", "part2", "part3", "--wandb.mode=maybe"), "--wandb.mode"),
    ],
)
def test_what_are_not_the_shards_of_one_search_is_refused(place, others, words, message):
    shutil.copytree(others, place, dirs_exist_ok=True)
    (place / "new").mkdir()
    assert_refused(message, *(() if "--run_dir" in words else ("--run_dir", "new/run")), *words)


def test_without_a_place_for_the_whole_search_nothing_is_merged(place):
    assert_refused("run_dir", "part1", "part2", "part3")


def test_of_many_shards_that_are_missing_the_first_are_named(place):
    for part in parts_of(place):
        change(part, shard=part.name.removeprefix("part") + "/9000")
    few = ", ".join(f"{number}/9000 is missing" for number in (4, 5))
    assert_refused(f"{few}, ", "--run_dir", "new", *parts_of(Path()))


def test_a_shard_that_has_not_begun_or_is_at_work_is_not_finished(place):
    (place / "part2" / "scores.jsonl").unlink()
    with lock_folder(place / "part2"):
        assert_refused("2/3 (part2) has 2 of its candidates left", "--run_dir", "new", *parts_of(Path()))


def test_other_data_are_told(place):
    path = place / "part2" / "scores.jsonl"
    own = rows_of(place / "part2")[0]["probe"]
    path.write_text(path.read_text().replace(own, "0" * 16))
    words = ("--run_dir", "new", *parts_of(Path()))
    assert_refused(f"part2: the mini-batch (fingerprint {'0' * 16}) is not that of part1 ({own})", *words)
    for part in parts_of(place):
        text = (part / "scores.jsonl").read_text().replace(own, "0" * 16)
        (part / "scores.jsonl").write_text(text)
    assert_refused(f"the mini-batch (fingerprint {own}) is not the one of the shards ({'0' * 16})", *words)


def spoil_line(text):
    def spoil(part):
        first, rest = (part / "scores.jsonl").read_bytes().split(b"\n", 1)
        (part / "scores.jsonl").write_bytes(b"\n".join((first, text.encode(errors="surrogateescape"), rest)))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_line("{broken"), "scores.jsonl, line 2: not a finished candidate"),
        (spoil_line('{"score": NaN}'), "scores.jsonl, line 2: not a finished candidate"),
        (spoil_line("\udcff"), "scores.jsonl, line 2"),
        (spoil_line(""), "line 2: not a finished candidate"),
        (lambda part: rewrite(part, scores={"snip": 1.0}), "line 1: not a finished candidate (scores of snip, not of"),
        (lambda part: change(part, samples="6"), "config.yaml is damaged (samples"),
        (lambda part: change(part, more=1), "config.yaml is damaged (more: unexpected"),
        (lambda part: change(part, shard="4/3"), "config.yaml is damaged (--shard 4/3"),
        (lambda part: change(part, seed=-1), "config.yaml is damaged (--seed -1"),
        (lambda part: change(part, wandb=3), "config.yaml is damaged (wandb"),
        (lambda part: change(part, samples=7), "samples 7, not 6"),
        (lambda part: change(part, score="nosuch"), "score 'nosuch', not 'naswot'"),
        (lambda part: change(part, architectures="/dev/zero"), "--architectures /dev/zero: no such file"),
        (lambda part: (part / "config.yaml").write_text("a: &a [1]\nb: *a\n"), "an alias (*) is not allowed"),
        (lambda part: (part / "config.yaml").write_text("!!python/object/apply:os.getcwd []"), "a tag (!) is not"),
    ],
)
def test_a_shard_of_somebody_else_is_read_as_strictly_as_any_run(place, spoil, message):
    spoil(place / "part2")
    assert_refused(message, "--run_dir", "new", *parts_of(Path()))


def test_lines_that_are_of_no_candidate_are_left_out(place, scored):
    text = (place / "part1" / "scores.jsonl").read_text()
    (place / "part2" / "scores.jsonl").open("a").write(text)
    assert merge("--run_dir", "whole", *parts_of(place)) == 0
    assert files_of(place / "whole") == files_of(scored / "whole")
    assert len(rows_of(place / "whole")) == NOISE["samples"]


def test_a_link_in_the_new_folder_is_not_followed(place, scored):
    assert merge("--run_dir", "whole", *parts_of(place)) == 0
    (place / "precious").write_text("mine")
    (place / "whole" / "scores.jsonl").unlink()
    (place / "whole" / "scores.jsonl").symlink_to(place / "precious")
    assert merge("--run_dir", "whole", *parts_of(place)) == 0
    assert (place / "precious").read_text() == "mine"
    assert files_of(place / "whole") == files_of(scored / "whole")
    assert not (place / "whole" / "scores.jsonl").is_symlink()


def test_one_process_at_a_time_writes_to_the_new_folder(place, capsys):
    (place / "whole").mkdir()
    with lock_folder(place / "whole"):
        assert merge("--run_dir", "whole", *parts_of(place)) == 2
    assert "whole is in use by another process" in capsys.readouterr().err


@pytest.mark.parametrize("step", ["search.merge.atomic_path", "search.merge.plan_search", "cli.search_output.run"])
def test_an_error_or_ctrl_c_leaves_nothing_half_written(place, scored, monkeypatch, step, capsys):
    for fault, code in ((OSError(28, "full", "x"), 2), (KeyboardInterrupt(), 130)):
        with monkeypatch.context() as patch:
            patch.setattr(f"naswot_lightning.{step}", Mock(side_effect=fault))
            assert merge("--run_dir", "whole", *parts_of(place)) == code
        assert capsys.readouterr().err.count("\n") == 1
        assert not list(place.glob("whole/.*.part"))
    assert merge("--run_dir", "whole", *parts_of(place)) == 0
    assert files_of(place / "whole") == files_of(scored / "whole")


def test_killed_in_the_middle_and_run_again_it_is_the_same(place, scored):
    """SIGKILL as soon as the folder appears; what a merge that was killed while it wrote left behind goes."""
    words = [sys.executable, "-m", "naswot_lightning.merge", "--run_dir", "whole", "part1", "part2", "part3"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not (place / "whole" / "config.yaml").exists():
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (place / "whole" / ".scores.jsonl.4242.part").mkdir()
    (place / "whole" / ".scores.jsonl.4242.part" / "scores.jsonl").write_bytes(b'{"half')
    assert merge("--run_dir", "whole", *parts_of(place)) == 0
    assert files_of(place / "whole") == files_of(scored / "whole")
    assert not list(place.glob("whole/.*.part"))
    lines = (place / "whole" / "scores.jsonl").read_bytes()
    assert merge("--run_dir", "again", *parts_of(place)) == 0
    assert lines == (place / "again" / "scores.jsonl").read_bytes()


def test_the_space_of_a_shard_is_imported_only_where_the_user_says_so(tmp_path, monkeypatch):
    name = "foreign_space_of_a_merge.Tiny"
    (tmp_path / "foreign_space_of_a_merge.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for number in (1, 2):
        run_search(SearchConfig(run_dir=f"part{number}", shard=f"{number}/2", space=name, **NOISE | {"samples": 3}))
    (tmp_path / "canary").unlink()
    forget(monkeypatch)
    words = ("--run_dir", "new", "part1", "part2")
    assert_refused(f"space {name}: a file names this code", *words)
    assert_refused(f"space {name}: a file names this code", *words, "--space", "nasbench201")
    assert not (tmp_path / "canary").exists()
    for cure in (("--space", name), ("--trust",)):
        forget(monkeypatch)
        assert merge(*words, *cure) == 0
        assert (tmp_path / "canary").exists()
        (tmp_path / "canary").unlink()
    shutil.rmtree(tmp_path / "part2")
    assert_refused(f"--shard 2/2 --run_dir shard2of2 --space {name}", "--run_dir", "new", "part1", "--trust")
    forget(monkeypatch)


def forget(monkeypatch):
    """Be a new process so far as the user's spaces are concerned."""
    monkeypatch.setattr(spaces, "_trusted", set())
    spaces.get_space.cache_clear()
    sys.modules.pop("foreign_space_of_a_merge", None)
