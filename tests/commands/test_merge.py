"""Shards that are put together are the run folder of the whole search."""

import random
import shutil

import pytest
import yaml

from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.search.plan import plan_search
from tests.commands.ends import contents
from tests.commands.shards import NOISE, assert_refused, change, merge, parts_of, score
from tests.commands.test_imports import HEAVY, loaded_by
from tests.runs import wandb_files
from tests.search.runs import SPACE, files_of, rows_of
from tests.search.test_absurd_architectures import ABSURD, GOOD


def without_seconds(folder):
    return [{**row, "seconds": None} for row in rows_of(folder)]


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


def test_with_overwrite_another_search_gives_way(place, scored):
    run_search(SearchConfig(run_dir="whole", **NOISE | {"samples": 2}))
    (place / "whole" / "notes.txt").write_text("mine")
    assert merge("--run_dir", "whole", *parts_of(place), "--overwrite") == 0
    assert files_of(place / "whole") == files_of(scored / "whole")
    assert (place / "whole" / "notes.txt").read_text() == "mine"


def test_help_is_quick_and_the_folders_need_no_option():
    loaded, printed = loaded_by("-m", "naswot_lightning.merge", "--help")
    assert "--run_dir NEW SHARD SHARD" in " ".join(printed.split())
    assert not loaded.intersection(HEAVY)
