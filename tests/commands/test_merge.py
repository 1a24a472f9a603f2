"""Shards that are put together are the run folder of the whole search; what is anything else is refused."""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml

import spaces
from naswot_lightning.command_line import run_command
from naswot_lightning.config import SearchConfig
from naswot_lightning.merge import PROG, main, with_option
from naswot_lightning.search import plan_search, run_search
from naswot_lightning.search.shards import MergeConfig
from naswot_lightning.storage.files import locked
from tests.commands.ends import contents
from tests.commands.own_space import CODE
from tests.commands.test_imports import HEAVY, loaded_by
from tests.conftest import ROOT
from tests.runs import wandb_files
from tests.search.runs import QUICK, SPACE, files_of, rows_of
from tests.search.test_absurd_architectures import ABSURD, GOOD

NOISE = {**QUICK, "dataset": "noise", "batch_size": 4}
PARTS = 3


def score(folder, parts=PARTS, **options):
    """Score the whole search and each of its shards, in folders of their own."""
    for number in range(1, parts + 1):
        run_search(SearchConfig(run_dir=str(folder / f"part{number}"), shard=f"{number}/{parts}", **NOISE | options))
    run_search(SearchConfig(run_dir=str(folder / "whole"), **NOISE | options))


def merge(*words, mode="disabled"):
    return run_command(main, MergeConfig, PROG, with_option([*map(str, words), "--wandb.mode", mode]))


def parts_of(folder, parts=PARTS):
    return [folder / f"part{number}" for number in range(1, parts + 1)]


def without_seconds(folder):
    return [{**row, "seconds": None} for row in rows_of(folder)]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    score(folder)
    return folder


@pytest.fixture
def place(scored, tmp_path, monkeypatch):
    """A copy of the shards to work in, merged by their names."""
    for number in range(1, PARTS + 1):
        shutil.copytree(scored / f"part{number}", tmp_path / f"part{number}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def equal_networks():
    """Architectures of few networks, most of them several times, those of one network far from each other."""
    found = {}
    for architecture in SPACE:
        found.setdefault(SPACE.canonical(architecture), []).append(architecture)
    groups = [group[:5] for group in found.values() if len(group) >= 5][:4]
    return [group[place] for place in range(5) for group in groups] + [next(iter(found.values()))[0]]


def some_of_each():
    lines = [*GOOD["nds_resnet"], *ABSURD["nds_resnet"]]
    random.Random(1).shuffle(lines)
    return lines


@pytest.mark.parametrize(
    ("listed", "options"),
    [
        (None, {"samples": 8}),
        (None, {"samples": 6, "canonical": False, "repeats": 2, "max_params": 600_000}),
        (equal_networks, {"score": "naswot,params+macs"}),
        (equal_networks, {"score": "synflow,naswot"}),
        (some_of_each, {"space": "nds_resnet"}),
    ],
    ids=["sampled", "repeats and limits", "given, equal networks", "two scores", "some fail"],
)
def test_the_ranking_of_the_shards_is_that_of_the_whole_search_to_the_byte(tmp_path, capsys, listed, options):
    if listed:
        (tmp_path / "list").write_text("\n".join(listed()))
        options = {**options, "architectures": str(tmp_path / "list")}
    score(tmp_path, **options)
    capsys.readouterr()
    shards = parts_of(tmp_path)
    assert merge("--run_dir", tmp_path / "merged", *reversed(shards)) == 0
    said = capsys.readouterr().out
    assert files_of(tmp_path / "merged") == files_of(tmp_path / "whole")
    whole = rows_of(tmp_path / "whole")
    assert {row["architecture"]: row for row in without_seconds(tmp_path / "merged")} == {
        row["architecture"]: row for row in without_seconds(tmp_path / "whole")
    }
    assert sum(len(rows_of(shard)) for shard in shards) == len(whole)
    evaluated = [sum(row["seconds"] > 0 for row in rows) for rows in (whole, *map(rows_of, shards))]
    assert sum(evaluated[1:]) == evaluated[0]
    run_search(SearchConfig(run_dir=str(tmp_path / "whole"), **NOISE | options))
    assert said == capsys.readouterr().out.replace("whole", "merged")


def test_the_merged_folder_is_a_run_folder_of_the_whole_search(place, scored, capsys, monkeypatch):
    assert merge("--run_dir", "whole", *parts_of(place)) == 0
    saved, expected = (yaml.safe_load((folder / "whole" / "config.yaml").read_text()) for folder in (place, scored))
    assert saved == {**expected, "run_dir": "whole"}
    candidates = plan_search(SearchConfig(run_dir="whole", **NOISE)).algorithm.propose([])
    assert [row["architecture"] for row in rows_of(place / "whole")] == candidates
    before = contents(place)
    monkeypatch.setattr(type(SPACE), "build", None)  # nothing is scored
    assert run_search(SearchConfig(run_dir="whole", **NOISE)) == 0
    assert merge("--run_dir", "whole", *parts_of(place)) == 0
    assert contents(place) == before
    assert "This is shard" not in capsys.readouterr().out


def test_it_is_shown_in_wandb_once(place):
    for _ in range(2):
        assert merge("--run_dir", "whole", *parts_of(place), mode="offline") == 0
    assert len(wandb_files(place / "whole", "*-search")) == 1
    assert yaml.safe_load((place / "whole" / "config.yaml").read_text())["wandb"]["mode"] == "offline"


def change(folder, **settings):
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**saved, **settings}))


def test_shards_may_differ_in_what_decides_no_result(place, scored):
    change(place / "part1", device="cuda:7", engine="nosuch", workers=9, timeout=5, slurm={"partition": "gpu"})
    change(place / "part2", data_dir="elsewhere", top=3, wandb={"mode": "online"}, overwrite=True, trust=True)
    assert merge("--run_dir", "whole", *parts_of(place)) == 0
    assert files_of(place / "whole") == files_of(scored / "whole")
    saved = yaml.safe_load((place / "whole" / "config.yaml").read_text())
    assert [saved[name] for name in ("device", "overwrite", "trust")] == ["cuda:7", False, False]


def test_shards_from_before_an_option_existed_are_merged(place, scored):
    for part in parts_of(place):
        saved = yaml.safe_load((part / "config.yaml").read_text())
        for name in ("split_file", "select", "evaluator", "slurm", "timeout"):
            del saved[name]
        (part / "config.yaml").write_text(yaml.safe_dump(saved))
    assert merge("--run_dir", "whole", *parts_of(place)) == 0
    assert files_of(place / "whole") == files_of(scored / "whole")


def test_the_list_and_the_data_may_lie_elsewhere_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        (tmp_path / f"list{number}").write_text("\n".join(SPACE[index] for index in range(4)))
        run_search(SearchConfig(run_dir=f"part{number}", shard=f"{number}/2", architectures=f"list{number}", **NOISE))
    assert_refused("architectures 'list2', not 'list1'", "--run_dir", "whole", "part1", "part2")
    words = ("--run_dir", "whole", "part1", "part2", "--architectures", "list", "--data_dir", "here")
    assert_refused("--architectures list: no such file", *words)
    (tmp_path / "list1").rename("list")
    assert merge(*words) == 0
    saved = yaml.safe_load((tmp_path / "whole" / "config.yaml").read_text())
    assert (saved["architectures"], saved["data_dir"]) == ("list", "here")
    (tmp_path / "list").write_text(SPACE[9])
    assert_refused("1/2 (part1) has 1 of its candidates left", *words[:-4], "--architectures", "list")


def assert_refused(message, *words):
    """One line that holds the message, and nothing is touched."""
    error = io.StringIO()
    before = contents(Path.cwd())
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        assert merge(*words) == 2, error.getvalue()
    assert error.getvalue().count("\n") == 1
    assert message in error.getvalue()
    assert error.getvalue().startswith(f"{PROG}: error: ")
    assert contents(Path.cwd()) == before


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


def test_the_command_that_is_named_finishes_a_shard_that_was_killed_or_is_missing(place, scored):
    lines = (place / "part2" / "scores.jsonl").read_bytes()
    (place / "part2" / "scores.jsonl").write_bytes(lines[:-5])
    shutil.rmtree(place / "part3")
    words = "--config part2/config.yaml --run_dir part2"
    states = "2/3 (part2) has 1 of its candidates left, 3/3 is missing"
    cure = f"run python search.py {words}, and the others likewise"
    assert_refused(f"not all 3 shards are finished: {states}; {cure}", "--run_dir", "new", "part1", "part2")
    assert run_command(run_search, SearchConfig, "search.py", words.split()) == 0
    words = "--config part1/config.yaml --shard 3/3 --run_dir shard3of3"
    assert_refused(f"3/3 is missing; run python search.py {words}", "--run_dir", "new", "part1", "part2")
    assert run_command(run_search, SearchConfig, "search.py", words.split()) == 0
    assert merge("--run_dir", "new", "part1", "part2", "shard3of3") == 0
    assert files_of(place / "new") == files_of(scored / "whole")


def test_of_many_shards_that_are_missing_the_first_are_named(place):
    for part in parts_of(place):
        change(part, shard=part.name.removeprefix("part") + "/9000")
    few = ", ".join(f"{number}/9000 is missing" for number in (4, 5))
    assert_refused(f"{few}, ", "--run_dir", "new", *parts_of(Path()))


def test_a_shard_that_has_not_begun_or_is_at_work_is_not_finished(place):
    (place / "part2" / "scores.jsonl").unlink()
    with locked(place / "part2"):
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


def replace_by_link(name):
    def spoil(part):
        (part / name).rename(part.parent / "moved")
        (part / name).symlink_to(part.parent / "moved")

    return spoil


def replace_by_pipe(name):
    def spoil(part):
        (part / name).unlink()
        os.mkfifo(part / name)

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
        (replace_by_link("config.yaml"), "config.yaml is a link"),
        (replace_by_link("scores.jsonl"), "scores.jsonl is a link"),
        (replace_by_pipe("config.yaml"), "config.yaml is a link, a folder or a pipe"),
        (replace_by_pipe("scores.jsonl"), "scores.jsonl is a link, a folder or a pipe"),
    ],
)
def test_a_shard_of_somebody_else_is_read_as_strictly_as_any_run(place, spoil, message):
    spoil(place / "part2")
    assert_refused(message, "--run_dir", "new", *parts_of(Path()))


def rewrite(part, **values):
    rows = [{**row, **values} for row in rows_of(part)]
    (part / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


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
    with locked(place / "whole"):
        assert merge("--run_dir", "whole", *parts_of(place)) == 2
    assert "whole is in use by another process" in capsys.readouterr().err


def test_with_overwrite_another_search_gives_way(place, scored):
    run_search(SearchConfig(run_dir="whole", **NOISE | {"samples": 2}))
    (place / "whole" / "notes.txt").write_text("mine")
    assert merge("--run_dir", "whole", *parts_of(place), "--overwrite") == 0
    assert files_of(place / "whole") == files_of(scored / "whole")
    assert (place / "whole" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("step", ["written_beside", "plan_search", "run"])
def test_an_error_or_ctrl_c_leaves_nothing_half_written(place, scored, monkeypatch, step, capsys):
    for fault, code in ((OSError(28, "full", "x"), 2), (KeyboardInterrupt(), 130)):
        with monkeypatch.context() as patch:
            patch.setattr(f"naswot_lightning.search.merge.{step}", Mock(side_effect=fault))
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
    (place / "whole" / ".scores.jsonl.4242.part").write_bytes(b'{"half')
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


def test_help_is_quick_and_the_folders_need_no_option():
    loaded, printed = loaded_by("-m", "naswot_lightning.merge", "--help")
    assert "--run_dir NEW SHARD SHARD" in " ".join(printed.split())
    assert not loaded.intersection(HEAVY)
    words = ["a", "--trust", "b", "--overwrite", "true", "c", "--run_dir=d", "e", "--space", "f"]
    expected = ["--trust", "--overwrite", "true", "--run_dir=d", "--space", "f", "--shards", '["a", "b", "c", "e"]']
    assert with_option(words) == expected
