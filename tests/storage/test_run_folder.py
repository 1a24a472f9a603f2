"""Damaged and foreign run folders, and what --overwrite leaves alone."""

import json
import platform
import shutil

import pytest
import torch

from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.searching.loop import Loop
from naswot_lightning.spaces import get_space
from naswot_lightning.storage import run_folder
from naswot_lightning.storage.run_folder import note_versions, read_versions
from tests.commands import ends
from tests.commands.ends import contents

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
SEARCH = ("--samples", "2", "--batch_size", "4", "--wandb.mode", "disabled")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "run"
    assert run_command(run_search, SearchConfig, "naswot search", ["--run_dir", str(folder), *SEARCH]) == 0
    return folder


@pytest.fixture
def folder(searched, tmp_path):
    """A copy of a finished search, beside a folder of the user's."""
    shutil.copytree(searched, tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious\n")
    return tmp_path / "run"


@pytest.fixture
def refused(capsys):
    """Run a command on a folder; it must end with one line and exit code 2. Return the line."""

    def run(script, folder, *words):
        search = SEARCH if script == "search.py" else ()
        return ends.refused(capsys, script, "--run_dir", folder, *search, *words)

    return run


RANKS = ("../../../victim", True, 0, -1, 10**30, "1", 1.5, None, [], {"a": 1}, 2)
TEXTS = ([], 3, None, "../../../victim", "\0", "/etc/passwd", "x" * 100_000)


def test_ranking_with_a_path_for_a_rank_or_an_architecture_is_refused(folder, refused):
    first, *others = json.loads((folder / "ranking.json").read_text())
    damages = [("rank", rank) for rank in RANKS]
    damages += [(name, text) for name in ("canonical", "architecture") for text in TEXTS]
    for name, value in damages:
        (folder / "ranking.json").write_text(json.dumps([{**first, name: value}, *others]))
        before = contents(folder.parent)
        error = refused("train.py", folder, "--top", "1", "--overwrite", "--epochs", "1")
        assert len(error) < 1000, (name, value)
        assert name != "rank" or "ranking.json is damaged" in error, value
        assert contents(folder.parent) == before, (name, value)


def test_links_in_place_of_lock_or_pick_are_refused(folder, refused):
    mine = folder.parent / "mine"
    row = json.loads((folder / "ranking.json").read_text())[0]
    pick = f"picks/1-{get_space('nasbench201').index(row['architecture'])}"
    (folder / "picks").mkdir()
    (folder / pick).symlink_to(mine)
    assert pick in refused("train.py", folder, "--top", "1", "--overwrite", "--wandb.mode", "disabled")
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(mine / "file")
    assert ".lock is a link" in refused("search.py", folder)
    assert contents(mine) == {"file": b"precious\n"}


def test_overwrite_with_a_damaged_mark_or_without_one_removes_nothing(folder, refused):
    for content in ("", "../../x\n", "0123456\n", "x" * 100, "01234567\nmore", "*-*-*-*\n", "\0" * 8, None):
        (folder / ".run_id").unlink() if content is None else (folder / ".run_id").write_text(content)
        before = contents(folder.parent)
        error = refused("search.py", folder, "--seed", "1", "--overwrite")
        assert ("is not marked as a run folder" if content is None else ".run_id is damaged") in error
        assert contents(folder.parent) == before, content


def test_overwrite_removes_files_of_the_run_alone(folder):
    outside = folder.parent / "mine"
    mark = (folder / ".run_id").read_text().strip()
    ours = (
        "picks/1-17/last.ckpt", "picks/given-3f2a-seed7/result.json",
        f"wandb/offline-run-20250101_000000-{mark}-1-17/run",
        f"wandb/run-20250101_000000-{mark}-search/run", "figures/figure6.png", "comparison.csv", "evidence.json",
        "jobs/20250101-000000-ab_d3fgh/4711_0_result.pkl",
        "figures/figure3.svg", "figures/figure3.pdf", "measured/ablation.jsonl",
        "study/study.csv", "study/study.json", "study/study.png",
        f"csv/{mark}-search/metrics.csv", f"tensorboard/{mark}-1-17-3f2a/events", f"loggers/csv-{mark}-search.json",
        f"loggers/mlflow-{mark}-comparison.json", "mlflow.db", "mlartifacts/1/3f2a/artifacts/comparison.csv",
    )  # fmt: skip
    users = (
        "picks/notes/plan.txt", "picks/1-best", "picks/01-2/x", "picks/0-2/x", "figures/mine.png", "figures/data.csv",
        "wandb/offline-run-20250101_000000-other/run", "wandb/settings", "notes.txt", "config.yaml.bak",
        "jobs/mine.sh", "jobs/4711/log", "jobs/4711_0_log.out", "figures/mine.svg", "figures/mine.pdf",
        "measured/mine.npz", "study/notes.txt",
        "measured/mine.npz", "csv/mine/metrics.csv", "csv/mine.csv", "tensorboard/01234567-search/events",
        "loggers/mine.py",
    )  # fmt: skip
    for name in (*ours, *users):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        drawn = b" " * 5000 * name.endswith(".pdf") + b"naswot-lightning" + b" " * 5000 * name.endswith(".svg")
        (folder / name).write_bytes(drawn if name.startswith(("figures/figure", "study/study.png")) else b"text\n")
    for link in ("picks/2-5", "picks/given-ab", f"wandb/run-20250101_000000-{mark}-3-4"):
        (folder / link).symlink_to(outside)
    (folder / "figures" / "linked.png").symlink_to(outside / "file")
    words = ["--run_dir", str(folder), *SEARCH, "--seed", "1"]
    run_command(run_search, SearchConfig, "naswot search", [*words, "--overwrite"])  # which may refuse the links
    assert (outside / "file").read_text() == "precious\n"
    assert all((folder / name).exists() for name in users)
    for link in ("picks/2-5", "picks/given-ab", f"wandb/run-20250101_000000-{mark}-3-4"):
        (folder / link).unlink(missing_ok=True)
    assert run_command(run_search, SearchConfig, "naswot search", [*words, "--overwrite"]) == 0
    assert not [name for name in ours if (folder / name).exists()]
    assert all((folder / name).exists() for name in users)


def test_overwrite_follows_no_link_out_of_the_folder(folder, refused):
    outside = folder.parent / "mine"
    (outside / "1-17").mkdir()
    for name in ("picks", "figures", "wandb", "jobs", "measured"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).symlink_to(outside)
        before = contents(outside)
        assert f"{name} is a link" in refused("search.py", folder, "--seed", "1", "--overwrite")
        assert contents(outside) == before
        (folder / name).unlink()


def test_run_folder_without_a_name_or_of_a_file_is_refused(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("precious\n")
    for name in ("", "  ", "a\0b", "a\nb", "file"):
        assert "--run_dir" in refused("search.py", name)
        assert "--run_dir" in refused("train.py", name, "--architecture", SMALL, "--epochs", "1")
    assert contents(tmp_path) == {"file": b"precious\n"}


def test_folder_that_is_moved_during_a_search_is_not_made_anew(tmp_path, monkeypatch, capsys):
    words = ["--samples", "2", "--batch_size", "4", "--wandb.mode", "disabled", "--run_dir"]
    run, moved = tmp_path / "run", tmp_path / "moved"
    score = Loop.run

    def score_and_move(*given):
        rows = score(*given)
        run.rename(moved)
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "run", score_and_move)
        assert run_command(run_search, SearchConfig, "naswot search", [*words, str(run)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{run} was moved or removed while this command ran" in error
    assert not run.exists()
    assert run_command(run_search, SearchConfig, "naswot search", [*words, str(moved)]) == 0


def test_versions_are_noted_where_one_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "versions.json"
    assert read_versions(path) == ()
    note_versions(path)
    note_versions(path)
    (before,) = read_versions(path)
    assert (before["python"], before["torch"]) == (platform.python_version(), torch.__version__.partition("+")[0])
    monkeypatch.setattr(run_folder, "version", lambda name: "9.9")
    note_versions(path)
    assert [each["torch"] for each in read_versions(path)] == [before["torch"], "9.9"]
    path.write_text('[{"torch": 2}]')
    with pytest.raises(UserError, match=r"versions\.json is damaged \(.*\): remove it"):
        read_versions(path)
