"""A small search, and what one process makes of it."""

import json
import shutil

import pytest

from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from tests.commands.test_shadowing import NAMES
from tests.conftest import run_script

SMALL = ("--samples", "12", "--batch_size", "16", "--score", "naswot,synflow", "--wandb.mode", "disabled")


@pytest.fixture(scope="session")
def ranking_of_one(tmp_path_factory):
    """The ranking that one process, with one thread, makes of the small search."""
    folder = tmp_path_factory.mktemp("one") / "run"
    run_search(parse(SearchConfig, [*SMALL, "--workers", "1", "--run_dir", str(folder)], "search.py"))
    ranking = (folder / "ranking.json").read_bytes()
    assert len(json.loads(ranking)) == 12
    return ranking


@pytest.fixture
def foreign(tmp_path):
    """A folder with files that have the names of libraries; one that is run leaves a canary."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w').write('{name}')\n")
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return a function that trains the same two picks with an engine, and returns their trajectories."""
    searched = tmp_path_factory.mktemp("searched") / "run"
    small = ["--samples", "6", "--batch_size", "16", "--max_params", "200000", "--wandb.mode", "disabled"]
    assert run_script("search.py", *small, "--run_dir", searched).returncode == 0

    def train(*engine, **kwargs):
        folder = tmp_path_factory.mktemp("trained") / "run"
        shutil.copytree(searched, folder)
        options = ["--top", 2, "--epochs", 2, "--batch_size", 64, "--early_points", 2, "--threads", 1]
        limits = ["--trainer.limit_train_batches", 4, "--wandb.mode", "disabled"]
        done = run_script("train.py", "--run_dir", folder, *options, *limits, *engine, **kwargs)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert done.stdout.count(": epoch 2/2 ") == 2
        return {path.parent.name: path.read_bytes() for path in folder.glob("picks/*/trajectory.csv")}

    return train


@pytest.fixture(scope="session")
def trained_here(trained):
    """The trajectories of the local engine."""
    found = trained("--engine", "local")
    assert len(found) == 2
    return found
