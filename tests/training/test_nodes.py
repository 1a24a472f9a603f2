"""A pick on two nodes of one device: two processes that a launcher started, here by its environment."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from naswot_lightning.cli.train import run_training
from naswot_lightning.errors import UserError
from naswot_lightning.training.plan import plan_training
from tests.conftest import ROOT
from tests.images import make_image_folder
from tests.training.runs import (
    OWN,
    checkpoints_of,
    config_of,
    count_points,
    outcome_of,
    train_here,
    wait_for_points,
    words_of,
)

OPTIONS = {"space": OWN, "architecture": "plain", "seeds": "1,2", "batch_size": 14, "epochs": 2, "early_points": 8,
           "probe_batch_size": 16, "threads": 1}  # fmt: skip
NODES = "--num_nodes", "2", "--accelerator", "cpu"


def torchrun(rank, port):
    return {
        "TORCHELASTIC_RUN_ID": "job", "RANK": rank, "LOCAL_RANK": 0, "GROUP_RANK": rank, "WORLD_SIZE": 2,
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip


def srun(rank, port):
    return {
        "SLURM_JOB_ID": 1234, "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "127.0.0.1", "SLURM_NNODES": 2,
        "SLURM_NTASKS": 2, "SLURM_NTASKS_PER_NODE": 1, "SLURM_STEP_NUM_TASKS": 2, "SLURM_PROCID": rank,
        "SLURM_NODEID": rank, "SLURM_LOCALID": 0, "MASTER_PORT": port,
    }  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 33, "val": 5, "test": 5})


def started(launcher, config, *words, **more):
    """Both processes of the command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return [
        subprocess.Popen(
            [sys.executable, *words_of(config), *NODES, *words],
            cwd=ROOT, env=environment | {name: str(value) for name, value in launcher(rank, port).items()},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip


def ended(processes):
    """Their exit codes, and what they have said."""
    said = [process.communicate(timeout=300) for process in processes]
    return [process.returncode for process in processes], said


def test_picks_on_two_nodes_are_those_of_one_process(tmp_path, data):
    config = config_of(tmp_path / "nodes", data, **OPTIONS)
    codes, (first, second) = ended(started(torchrun, config, PL_TRAINER_LIMIT_TRAIN_BATCHES="1"))
    assert (codes, first[0].count("epoch 2/2"), second) == ([0, 0], 2, ("", "")), first
    alone = config_of(tmp_path / "alone", data, **OPTIONS)
    assert train_here(alone) == 0
    for each in (tmp_path / "alone" / "picks").iterdir():
        result, _, trajectory, weights = outcome_of(tmp_path / "nodes" / "picks" / each.name)
        expected, _, points, own = outcome_of(each)
        assert result["test_loss"] == pytest.approx(expected["test_loss"], rel=1e-4)
        assert [point["step"] for point in trajectory] == [point["step"] for point in points]
        for name, value in own.items():
            torch.testing.assert_close(torch.tensor(weights[name]), torch.tensor(value), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_picks_interrupted_on_two_nodes_save_together_and_end_as_those_of_two_devices_to_the_bit(tmp_path, data):
    """One process gets the signal: SLURM's, that of preemption, Ctrl-C. The last command has the other launcher."""
    options = {**OPTIONS, "batch_size": 2, "epochs": 3}
    assert run_training(config_of(tmp_path / "devices", data, devices=2, accelerator="cpu", **options)) == 0
    config, inside = config_of(tmp_path / "nodes", data, **options), 0
    for number, signum in enumerate((signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)):
        processes, points = started(srun, config), count_points(config)
        wait_for_points(processes[0], config, points + 2 + number)
        processes[number % 2].send_signal(signum)
        codes, (first, second) = ended(processes)
        assert codes == [130, 130], (first, second)
        assert first[1].splitlines()[-1].endswith("interrupted; run the same command again to continue")
        assert second == ("", "")
        inside += any(each["global_step"] % 50 for each in checkpoints_of(config))
    assert inside
    codes, said = ended(started(torchrun, config))
    assert codes == [0, 0], said
    for each in (tmp_path / "devices" / "picks").iterdir():
        assert outcome_of(tmp_path / "nodes" / "picks" / each.name) == outcome_of(each)


@pytest.mark.slow
def test_a_pick_that_fails_in_one_process_ends_the_job_with_its_reason(tmp_path, data):
    second = "tests.own_networks.networks_of_two"
    config = config_of(tmp_path / "run", data, **{**OPTIONS, "space": second, "architecture": "second_hungry"})
    codes, (first, other) = ended(started(srun, replace(config, batch_size=28)))
    assert codes == [1, 1], (first, other)
    assert "cannot allocate memory for 14 images" in first[1]
    assert f"FAILED: {'given'}" in first[1]


def test_what_several_nodes_cannot_do_is_refused_in_one_line(tmp_path, data, monkeypatch):
    config = config_of(tmp_path / "run", data, num_nodes=2, devices=2)
    with pytest.raises(UserError, match="4 processes, started by srun or torchrun, but this job has 1; docs/clusters"):
        run_training(config)
    for name, value in srun(0, 1).items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(UserError, match="4 processes, started by srun or torchrun, but this job has 2"):
        run_training(config)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(UserError, match=r"--num_nodes 2: You set `--ntasks=2` .* Use `--ntasks-per-node=2` instead"):
        run_training(config)
    for options in ({"engine": "slurm"}, {"workers": 2}):
        with pytest.raises(UserError, match="all nodes train one pick at a time; leave out --engine and --workers"):
            config_of(tmp_path / "run", data, num_nodes=2, **options)
    with pytest.raises(UserError, match="--num_nodes 2 --devices 1: a batch of 15 images cannot be divided evenly"):
        plan_training(config_of(tmp_path / "run", data, num_nodes=2, batch_size=15))
    assert not (tmp_path / "run").exists()
