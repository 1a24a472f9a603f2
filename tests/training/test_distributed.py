"""Two processes on the CPU (gloo) train one pick together."""

import csv
import json
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT
from tests.images import make_image_folder

NB201 = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """108 images to train on, 8 steps of 14; 15 to validate, so that the processes get unequal shares."""
    return make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 36, "val": 5, "test": 5})


def run_training(data, run, space, architecture, *options, epochs=2):
    words = [
        sys.executable, "train.py", "--run_dir", run, "--space", space, "--architecture", architecture, "--dataset",
        "imagefolder", "--data_dir", data, "--batch_size", 14, "--probe_batch_size", 16, "--epochs", epochs, *options,
    ]  # fmt: skip
    words = [str(word) for word in words]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr + "".join(p.read_text() for p in run.glob("picks/*/train.log"))
    (folder,) = (run / "picks").iterdir()
    return folder, done


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def numbers(path, *without):
    return [{k: float(v) for k, v in row.items() if k not in without and v} for row in table(path)]


# Of the job in which the command runs, whose processes are none of the pick's.
LAUNCHER = {
    "RANK": "1", "LOCAL_RANK": "0", "NODE_RANK": "1", "GROUP_RANK": "1", "WORLD_SIZE": "8", "MASTER_ADDR": "192.0.2.1",
    "MASTER_PORT": "9", "TORCHELASTIC_RUN_ID": "1", "TORCHELASTIC_USE_AGENT_STORE": "True", "SLURM_NTASKS": "8",
    "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "/absent",
    "JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_RANK": "1", "JSM_NAMESPACE_SIZE": "8",
    "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "8", "PL_TRAINER_LIMIT_TRAIN_BATCHES": "1",
}  # fmt: skip


def test_two_processes_train_as_one_whatever_job_they_are_in(tmp_path, data, monkeypatch):
    """Without BatchNorm, which sees each process's share: weights, metrics and scores are one process's."""
    space = ("tests.own_networks.networks", "plain")
    one, _ = run_training(data, tmp_path / "one", *space, "--wandb.mode", "disabled")
    for name, value in LAUNCHER.items():
        monkeypatch.setenv(name, value)
    two, _ = run_training(
        data, tmp_path / "two", *space, "--devices", 2, "--strategy", "ddp", "--trainer.log_every_n_steps", 5,
        "--wandb.mode", "disabled",
    )  # fmt: skip
    weights = [torch.load(f / "last.ckpt", weights_only=True)["state_dict"] for f in (one, two)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(
        numbers(one / "metrics.csv", "seconds"), numbers(two / "metrics.csv", "seconds"), strict=True
    ):
        assert ours == pytest.approx(theirs, rel=1e-4)
    first, second = table(one / "trajectory.csv"), table(two / "trajectory.csv")
    assert [(r["step"], r["epoch"], r["status"]) for r in first] == [
        (r["step"], r["epoch"], r["status"]) for r in second
    ]
    assert float(first[0]["score"]) == pytest.approx(float(second[0]["score"]), rel=1e-6)
    results = [json.loads((f / "result.json").read_text()) for f in (one, two)]
    assert results[0]["test_acc"] == results[1]["test_acc"]
    assert results[0]["test_loss"] == pytest.approx(results[1]["test_loss"], rel=1e-4)


@pytest.mark.slow
def test_one_wandb_run_and_resume_of_two_processes(tmp_path, data):
    """A network with BatchNorm: no deadlock, one run, the score's first point is one process's; run again to resume."""
    limits = ("--trainer.limit_train_batches", 2, "--score_batch_norm", "both")
    options = ("--devices", 2, "--strategy", "ddp", *limits)
    run = tmp_path / "run"
    folder, done = run_training(data, run, "nasbench201", NB201, *options)
    assert len(list(run.glob(f"wandb/offline-run-*-{folder.name}-*"))) == 1
    assert done.stdout.count("epoch 2/2") == 1
    alone, _ = run_training(data, tmp_path / "alone", "nasbench201", NB201, *limits, "--wandb.mode", "disabled")
    points = (table(f / "trajectory.csv")[0] for f in (folder, alone))
    first, second = ([float(point[name]) for name in ("score", "score_running")] for point in points)
    assert first == pytest.approx(second, rel=1e-6)  # each of two processes has fewer threads, hence other sums
    result = json.loads((folder / "result.json").read_text())
    # The checkpoint's accuracy counts each test image once, also where the processes' shares are unequal.
    assert round(result["test_acc"] * 15) == pytest.approx(result["test_acc"] * 15)


@pytest.mark.slow
def test_parameters_without_a_part_in_the_output_are_no_obstacle(tmp_path, data):
    run_training(
        data, tmp_path / "run", "tests.own_networks.networks", "unused", "--devices", 2, "--strategy", "ddp",
        "--wandb.mode", "disabled", epochs=1,
    )  # fmt: skip


def test_a_mini_batch_that_cannot_be_shared_out(tmp_path, data, train):
    done = train(
        "--run_dir", tmp_path / "run", "--architecture", NB201, "--dataset", "imagefolder", "--data_dir", data,
        "--batch_size", 21, "--devices", 2, "--strategy", "ddp",
    )  # fmt: skip
    assert done.returncode == 2
    assert "--devices 2: a mini-batch of 21 cannot be shared out evenly" in done.stderr
