"""A small search, a cluster of Ray, and what the engines are given."""

import os
import shutil

import pytest

from tests.commands.test_shadowing import NAMES
from tests.conftest import run_script

SMALL = ("--samples", "12", "--batch_size", "16", "--score", "naswot,synflow", "--wandb.mode", "disabled")
# Before Ray is imported: then it reads what holds for the process, also for commands that other tests run in it.
os.environ.update(RAY_DEDUP_LOGS_SKIP_REGEX=".", RAY_AUTH_MODE="disabled")


@pytest.fixture(scope="session")
def ray_cluster():
    """The address of a cluster of two cores, which takes itself for one with two GPUs."""
    ray = pytest.importorskip("ray")
    ray.shutdown()  # of a command that another test has run in this process
    ray.init(
        "local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=100 * 2**20,
    )  # fmt: skip
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def folders(tmp_path):
    made = [tmp_path / name for name in ("1-a", "2-b")]
    for folder in made:
        folder.mkdir()
    return made


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
