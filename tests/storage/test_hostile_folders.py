"""Damaged and foreign run folders, and what --overwrite leaves alone."""

import json
import shutil

import pytest

from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.search import run_search
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import SearchConfig, TrainConfig
from tests.commands.ends import contents

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
SEARCH = ("--samples", "2", "--batch_size", "4", "--wandb.mode", "disabled")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "run"
    assert run_command(run_search, SearchConfig, "search.py", ["--run_dir", str(folder), *SEARCH]) == 0
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
    """Run a command; it must end with one line and exit code 2. Return the line."""

    def run(script, folder, *words):
        capsys.readouterr()
        if script == "search.py":
            code = run_command(run_search, SearchConfig, script, ["--run_dir", str(folder), *SEARCH, *words])
        else:
            code = run_command(run_training, TrainConfig, script, ["--run_dir", str(folder), *words])
        error = capsys.readouterr().err
        assert code == 2
        assert error.count("\n") == 1, error
        return error

    return run


RANKS = ("../../../victim", True, 0, -1, 10**30, "1", 1.5, None, [], {"a": 1}, 2)


def test_ranking_with_another_rank_than_its_row_is_refused(folder, refused):
    rows = json.loads((folder / "ranking.json").read_text())
    for rank in RANKS:
        (folder / "ranking.json").write_text(json.dumps([{**rows[0], "rank": rank}, *rows[1:]]))
        before = contents(folder.parent)
        assert "ranking.json is damaged" in refused("train.py", folder, "--top", "1", "--overwrite"), rank
        assert contents(folder.parent) == before, rank


def test_ranking_with_an_architecture_that_is_a_path_is_refused(folder, refused):
    rows = json.loads((folder / "ranking.json").read_text())
    for name in ("canonical", "architecture"):
        for value in ([], 3, None, "../../../victim", "\0", "/etc/passwd", "x" * 100_000):
            (folder / "ranking.json").write_text(json.dumps([{**rows[0], name: value}, *rows[1:]]))
            before = contents(folder.parent)
            assert len(refused("train.py", folder, "--top", "1", "--overwrite", "--epochs", "1")) < 1000
            assert contents(folder.parent) == before, (name, value)


def test_lock_that_is_a_link_is_refused(folder, refused):
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(folder.parent / "mine" / "file")
    assert ".lock is a link" in refused("search.py", folder)
    assert contents(folder.parent / "mine") == {"file": b"precious\n"}


def test_ranking_that_is_a_link_is_replaced_and_its_target_stays(folder):
    for name in ("ranking.json", "ranking.csv"):
        (folder / name).unlink()
        (folder / name).symlink_to(folder.parent / "mine" / "file")
    assert run_command(run_search, SearchConfig, "search.py", ["--run_dir", str(folder), *SEARCH]) == 0
    assert (folder.parent / "mine" / "file").read_text() == "precious\n"
    assert not (folder / "ranking.json").is_symlink()


def test_overwrite_with_a_damaged_mark_removes_nothing(folder, refused):
    for content in ("", "../../x\n", "0123456\n", "x" * 100, "01234567\nmore", "*-*-*-*\n", "\0" * 8):
        (folder / ".run_id").write_text(content)
        before = contents(folder.parent)
        assert ".run_id is damaged" in refused("search.py", folder, "--seed", "1", "--overwrite")
        assert contents(folder.parent) == before, content


def test_overwrite_of_a_folder_without_the_mark_removes_nothing(tmp_path, refused):
    run = tmp_path / "run"
    for path in ("figures/mine.png", "wandb/offline-run-1-ab/notes", "picks/1-2/weights"):
        (run / path).parent.mkdir(parents=True)
        (run / path).write_text("precious\n")
    for content in ("samples: 2\nspace: other\n", "", "not: [ours", "a: 1\n"):
        (run / "config.yaml").write_text(content)
        before = contents(run)
        assert "does not carry the mark" in refused("search.py", run, "--overwrite")
        assert {**contents(run), ".lock": b""} == {**before, ".lock": b""}, content


def test_overwrite_removes_what_is_ours_and_leaves_what_the_user_put_beside_it(folder):
    outside = folder.parent / "mine"
    mark = (folder / ".run_id").read_text().strip()
    ours = (
        "picks/1-17/last.ckpt", "picks/given-3f2a-seed7/result.json",
        f"wandb/offline-run-20250101_000000-{mark}-1-17/run",
        f"wandb/run-20250101_000000-{mark}-search/run", "figures/figure6.png", "comparison.csv", "evidence.json",
        "jobs/20250101-000000-ab_d3fgh/4711_0_result.pkl",
        "figures/figure3.svg", "figures/figure3.pdf", "measured/kernels.npz", "measured/ablation.jsonl",
    )  # fmt: skip
    users = (
        "picks/notes/plan.txt", "picks/1-best", "picks/01-2/x", "picks/0-2/x", "figures/mine.png", "figures/data.csv",
        "wandb/offline-run-20250101_000000-other/run", "wandb/settings", "notes.txt", "config.yaml.bak",
        "jobs/mine.sh", "jobs/4711/log", "jobs/4711_0_log.out", "figures/mine.svg", "figures/mine.pdf",
        "measured/mine.npz",
    )  # fmt: skip
    for name in (*ours, *users):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        drawn = b" " * 5000 * name.endswith(".pdf") + b"naswot-lightning" + b" " * 5000 * name.endswith(".svg")
        (folder / name).write_bytes(drawn if name.startswith("figures/figure") else b"text\n")
    for link in ("picks/2-5", "picks/given-ab", f"wandb/run-20250101_000000-{mark}-3-4"):
        (folder / link).symlink_to(outside)
    (folder / "figures" / "linked.png").symlink_to(outside / "file")
    words = ["--run_dir", str(folder), *SEARCH, "--seed", "1"]
    code = run_command(run_search, SearchConfig, "search.py", [*words, "--overwrite"])
    assert (outside / "file").read_text() == "precious\n"
    assert all((folder / name).exists() for name in users)
    if code == 0:
        assert not [name for name in ours if (folder / name).exists()]
    for link in ("picks/2-5", "picks/given-ab", f"wandb/run-20250101_000000-{mark}-3-4"):
        (folder / link).unlink(missing_ok=True)
    assert run_command(run_search, SearchConfig, "search.py", [*words, "--overwrite"]) == 0
    assert not [name for name in ours if (folder / name).exists()]
    assert all((folder / name).exists() for name in users)


@pytest.mark.parametrize("name", ["picks", "figures", "wandb", "jobs", "measured"])
def test_overwrite_follows_no_link_out_of_the_folder(folder, capsys, name):
    mark = (folder / ".run_id").read_text().strip()
    outside = folder.parent / "mine"
    for kept in (
        "1-17/weights",
        "figure6.png",
        f"run-20250101_000000-{mark}-search/run",
        "20250101-000000-ab_d3fgh/4711_0_log.out",
        "kernels.npz",
    ):
        (outside / kept).parent.mkdir(exist_ok=True)
        (outside / kept).write_bytes(b"\x89PNG naswot-lightning")
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).symlink_to(outside)
    before = contents(outside)
    run_command(
        run_search, SearchConfig, "search.py", ["--run_dir", str(folder), *SEARCH, "--seed", "1", "--overwrite"]
    )
    assert capsys.readouterr().err.count("Traceback") == 0
    assert contents(outside) == before


@pytest.mark.parametrize("script", ["search.py", "train.py"])
@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", "--run_dir"),
        ("  ", "--run_dir"),
        ("a\0b", "--run_dir"),
        ("a\nb", "--run_dir"),
        ("file", "file of that name"),
    ],
)
def test_a_run_folder_without_a_name_or_that_is_a_file(tmp_path, monkeypatch, refused, script, name, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("precious\n")
    words = () if script == "search.py" else ("--architecture", SMALL, "--epochs", "1")
    assert "--run_dir" in refused(script, name, *words)
    assert contents(tmp_path) == {"file": b"precious\n"}


def test_a_pick_that_is_a_link_is_neither_trained_nor_removed(folder, refused):
    row = json.loads((folder / "ranking.json").read_text())[0]
    from spaces import get_space

    name = f"1-{get_space('nasbench201').index(row['architecture'])}"
    (folder / "picks").mkdir()
    (folder / "picks" / name).symlink_to(folder.parent / "mine")
    before = contents(folder.parent / "mine")
    assert f"picks/{name}" in refused("train.py", folder, "--top", "1", "--overwrite", "--wandb.mode", "disabled")
    assert contents(folder.parent / "mine") == before
