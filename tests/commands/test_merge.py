"""Shards that are put together are the run folder of the whole search; anything else is refused in one line."""

import contextlib
import io
import json
import shutil
import sys
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import wandb
import yaml

from naswot_lightning import spaces
from naswot_lightning.cli import run_named
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from tests.commands.ends import contents
from tests.commands.own_space import CODE
from tests.runs import wandb_files
from tests.searching.runs import QUICK, SPACE, files_of, rows_of
from tests.searching.test_absurd_architectures import ABSURD, GOOD

PROG = "naswot merge"
main = partial(run_named, "merge")
search_main = partial(run_named, "search")

NOISE = {**QUICK, "dataset": "noise", "batch_size": 4}
PARTS = ("part1", "part2", "part3")


def score(folder, **options):
    """Score the whole search and each of its shards, in folders of their own."""
    for number, name in enumerate(PARTS, start=1):
        run_search(SearchConfig(run_dir=str(folder / name), shard=f"{number}/3", **NOISE | options))
    run_search(SearchConfig(run_dir=str(folder / "whole"), **NOISE | options))


def merge(*words, mode="disabled"):
    return main([*map(str, words), "--wandb.mode", mode])


def change(folder, **settings):
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**saved, **settings}))


def assert_refused(message, *words):
    """One line that holds the message, and nothing is touched."""
    error, before = io.StringIO(), contents(Path.cwd())
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        assert merge(*words) == 2, error.getvalue()
    assert error.getvalue().count("\n") == 1
    assert message in error.getvalue()
    assert error.getvalue().startswith(f"{PROG}: error: ")
    assert contents(Path.cwd()) == before


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    score(folder)
    run_search(SearchConfig(run_dir=str(folder / "half"), shard="1/2", **NOISE | {"samples": 2}))
    run_search(SearchConfig(run_dir=str(folder / "other"), shard="3/3", seed=1, **NOISE))
    return folder


@pytest.fixture
def place(scored, tmp_path, monkeypatch):
    """A copy of the shards to work in, merged by their names."""
    for name in PARTS:
        shutil.copytree(scored / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def equal_networks():
    """Architectures of few networks, most of them several times, those of one network far from each other."""
    found = {}
    for architecture in SPACE:
        found.setdefault(SPACE.canonical(architecture), []).append(architecture)
    groups = [group[:5] for group in found.values() if len(group) >= 5][:4]
    return [group[number] for number in range(5) for group in groups] + [next(iter(found.values()))[0]]


@pytest.mark.parametrize(
    ("listed", "options"),
    [
        (None, {"samples": 6, "canonical": False, "repeats": 2, "max_params": 600_000}),
        (equal_networks, {"score": "naswot,params+macs"}),
        (lambda: [*ABSURD, *GOOD], {"space": "nds_resnet"}),
    ],
    ids=["repeats and limits", "given, equal networks", "some fail"],
)
def test_merge_of_all_shards_gives_the_files_and_words_of_the_whole_search(tmp_path, capsys, listed, options):
    if listed:
        (tmp_path / "list").write_text("\n".join(listed()))
        options = {**options, "architectures": str(tmp_path / "list")}
    score(tmp_path, **options)
    capsys.readouterr()
    shards = [tmp_path / name for name in PARTS]
    assert merge("--run_dir", tmp_path / "merged", *reversed(shards)) == 0
    said = capsys.readouterr().out
    assert files_of(tmp_path / "merged") == files_of(tmp_path / "whole")
    merged, whole = (
        {row["architecture"]: {**row, "seconds": None} for row in rows_of(tmp_path / name)}
        for name in ("merged", "whole")
    )
    assert merged == whole
    # Equal networks are scored once, in one shard.
    evaluated = [sum(row["seconds"] > 0 for row in rows_of(folder)) for folder in (tmp_path / "whole", *shards)]
    assert sum(evaluated[1:]) == evaluated[0]
    run_search(SearchConfig(run_dir=str(tmp_path / "whole"), **NOISE | options))
    assert said == capsys.readouterr().out.replace("whole", "merged")


def without_logs(files):
    """All but what wandb says of itself, also when it has ended."""
    return {name: content for name, content in files.items() if not name.endswith(".log")}


def test_merge_again_scores_nothing_changes_nothing_and_shows_one_run(place, scored, capsys, monkeypatch):
    monkeypatch.setattr(type(SPACE), "build", None)
    assert merge("--run_dir", "whole", *PARTS, mode="offline") == 0
    saved, expected = (yaml.safe_load((folder / "whole" / "config.yaml").read_text()) for folder in (place, scored))
    assert saved == {**expected, "run_dir": "whole", "wandb": {**expected["wandb"], "mode": "offline"}}
    wandb.teardown()  # what its service still writes
    before = without_logs(contents(place))
    assert merge("--run_dir", "whole", *PARTS, mode="offline") == 0
    assert without_logs(contents(place)) == before
    assert len(wandb_files(place / "whole", "*-search")) == 1
    assert "This is only shard" not in capsys.readouterr().out


def test_merge_of_shards_that_differ_in_machine_and_display_succeeds(place, scored):
    change(place / "part1", engine="nosuch", workers=9, timeout=5, slurm={"partition": "gpu"})
    change(place / "part2", data_dir="elsewhere", top=3, wandb={"mode": "online"}, overwrite=True, trust=True)
    assert merge("--run_dir", "whole", *PARTS) == 0
    assert files_of(place / "whole") == files_of(scored / "whole")
    saved = yaml.safe_load((place / "whole" / "config.yaml").read_text())
    assert [saved[name] for name in ("engine", "overwrite", "trust")] == ["nosuch", False, False]


def test_merge_finds_the_list_and_the_data_where_it_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        (tmp_path / f"list{number}").write_text("\n".join(SPACE[index] for index in range(4)))
        run_search(SearchConfig(run_dir=f"part{number}", shard=f"{number}/2", architectures=f"list{number}", **NOISE))
    assert_refused("architectures 'list2', not 'list1'", "--run_dir", "whole", "part1", "part2")
    assert merge("--run_dir", "whole", "part1", "part2", "--architectures", "list1", "--data_dir", "here") == 0
    saved = yaml.safe_load((tmp_path / "whole" / "config.yaml").read_text())
    assert (saved["architectures"], saved["data_dir"]) == ("list1", "here")


def test_merge_names_the_command_that_finishes_a_killed_or_missing_shard(place, scored):
    lines = (place / "part2" / "scores.jsonl").read_bytes()
    (place / "part2" / "scores.jsonl").write_bytes(lines[:-5])
    shutil.rmtree(place / "part3")
    words = "--config part2/config.yaml --run_dir part2"
    states = "2/3 (part2) has 1 of its candidates left, 3/3 is missing"
    cure = f"run naswot search {words}, and the others likewise"
    assert_refused(f"not all 3 shards are finished: {states}; {cure}", "--run_dir", "new", "part1", "part2")
    assert search_main(words.split()) == 0
    words = "--config part1/config.yaml --shard 3/3 --run_dir shard3of3"
    assert_refused(f"3/3 is missing; run naswot search {words}", "--run_dir", "new", "part1", "part2")
    assert search_main(words.split()) == 0
    (place / "part2" / "scores.jsonl").open("a").write((place / "part1" / "scores.jsonl").read_text())
    assert merge("--run_dir", "new", "part1", "part2", "shard3of3") == 0
    assert files_of(place / "new") == files_of(scored / "whole")
    assert len(rows_of(place / "new")) == NOISE["samples"]


def test_merge_of_what_are_not_the_shards_of_one_search_is_refused(place, scored):
    for name in ("whole", "half", "other"):
        shutil.copytree(scored / name, place / name)
    (place / "new").mkdir()
    for words, message in [
        ("", "the shards are missing: give the run folders of all of them"),
        ("part3", "1/3 is missing, 2/3 is missing; run naswot search --config part3/config.yaml --shard 1/3 "),
        ("part1 part2 part3 part2", "part2 and part2 are both shard 2/3: give only one of them"),
        ("part1 part2 absent", "absent: no run here; expected the run folder of a shard"),
        ("part1 part2 whole", "whole is not a shard: its search had no --shard"),
        ("part2 part3 half", "is shard 2/3 and half is shard 1/2: expected the shards of one search"),
        ("part1 part2 other", "other is of another search than part1: seed 1, not 0; expected"),
        ("part1 part2 part3 --run_dir part3", "--run_dir part3: this is shard 3/3; choose a new folder"),
        ("part1 part2 part3 --run_dir whole/config.yaml", "expected a folder, but this is a file"),
        ("part1 part2 part3 --space nats_size", "--space nats_size: part1 is of nasbench201"),
        ("part1 part2 part3 --batch_size 8", "unknown option --batch_size"),
        ("part1 part2 part3 --wandb.mode=maybe", "--wandb.mode"),
    ]:
        assert_refused(message, *(() if "--run_dir" in words else ("--run_dir", "new/run")), *words.split())
    assert_refused("run_dir", *PARTS)
    for part in PARTS:
        change(place / part, shard=part.removeprefix("part") + "/9000")
    assert_refused("4/9000 is missing, 5/9000 is missing, ", "--run_dir", "new/run", *PARTS)


def test_merge_reads_a_damaged_shard_as_strictly_as_any_run(place):
    scores, other = place / "part2" / "scores.jsonl", "0" * 16
    whole = scores.read_bytes()
    own = json.loads(whole.splitlines()[0])["probe"]
    for lines, message in [
        (
            whole.replace(own.encode(), other.encode()),
            f"(fingerprint {other}) differs from that of the data here ({own})",
        ),
        (whole.replace(b'"naswot"', b'"snip"'), "line 1: scores of snip, not of naswot"),
    ]:
        scores.write_bytes(lines)
        assert_refused(message, "--run_dir", "new", *PARTS)
    scores.write_bytes(whole)
    change(place / "part2", shard="4/3")
    assert_refused("config.yaml is damaged (--shard 4/3", "--run_dir", "new", *PARTS)


def test_merge_that_was_cut_off_is_mended_by_the_next(place, scored, monkeypatch, capsys):
    for step, fault, code in (
        ("searching.merge.atomic_path", OSError(28, "full", "x"), 2),
        ("searching.loop.Search.write_result", KeyboardInterrupt(), 130),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"naswot_lightning.{step}", Mock(side_effect=fault))
            assert merge("--run_dir", "whole", *PARTS) == code
        assert capsys.readouterr().err.count("\n") == 1
    # As SIGKILL leaves it while the rows are written.
    (place / "whole" / ".scores.jsonl.4242.part").mkdir()
    (place / "whole" / ".scores.jsonl.4242.part" / "scores.jsonl").write_bytes(b'{"half')
    assert merge("--run_dir", "whole", *PARTS) == 0
    assert files_of(place / "whole") == files_of(scored / "whole")
    assert not list(place.glob("whole/.*.part"))


def test_merge_imports_the_space_of_a_shard_only_where_the_user_says_so(tmp_path, monkeypatch):
    module = "foreign_space_of_a_merge"
    (tmp_path / f"{module}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for number in (1, 2):
        options = {"space": f"{module}.Tiny", "shard": f"{number}/2", "samples": 3}
        run_search(SearchConfig(**{**NOISE, **options}, run_dir=f"part{number}"))
    words = ("--run_dir", "new", "part1", "part2")
    for cure in ((), ("--space", f"{module}.Tiny"), ("--trust",)):
        # A new process so far as the user's spaces are concerned.
        monkeypatch.setattr(spaces.own_code, "_trusted", set())
        monkeypatch.setattr(spaces, "_made", {})
        sys.modules.pop(module, None)
        (tmp_path / "canary").unlink(missing_ok=True)
        if not cure:
            assert_refused(f"space {module}.Tiny: a file names this code", *words)
            assert_refused(f"space {module}.Tiny: a file names this code", *words, "--space", "nasbench201")
        else:
            assert merge(*words, *cure) == 0
        assert (tmp_path / "canary").exists() == bool(cure)
