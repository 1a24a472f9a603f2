"""Faults in training: preemption, divergence, memory."""

import csv
import json
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from naswot_lightning.training.outcome import Outcome, read_outcome
from tests.conftest import ROOT
from tests.images import make_image_folder

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 40, "test": 10})


def command(data, run, *options):
    words = [
        sys.executable, "train.py", "--run_dir", run, "--dataset", "imagefolder", "--data_dir", data, "--batch_size", 6,
        "--probe_batch_size", 16, "--epochs", 3, "--wandb.mode", "offline", *options,
    ]  # fmt: skip
    return [str(word) for word in words]


def table(path):
    with open(path, newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def end_inside_an_epoch(process, folder, signum, points):
    """Send the signal once so many points of the trajectory are written; return the exit code."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if sum(len(p.read_text().splitlines()) for p in folder.glob("picks/*/trajectory.csv")) > points:
            break
        time.sleep(0.002)
    assert process.poll() is None
    process.send_signal(signum)
    return process.wait(timeout=60)


@pytest.mark.slow
def test_a_signal_saves_first_and_the_run_ends_as_if_nothing_had_been(tmp_path, data):
    """Ended twice inside an epoch, at a step that no checkpoint of an epoch holds; then finished."""
    outcomes = []
    for name, points in (("whole", ()), ("ended", ((signal.SIGTERM, 4), (signal.SIGINT, 12)))):
        run = tmp_path / name
        words = command(data, run, "--architecture", SMALL)
        steps = []
        for signum, count in points:
            process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            assert end_inside_an_epoch(process, run, signum, count) == 130
            assert "run the same command again to continue" in process.stderr.read()
            (last,) = run.glob("picks/*/last.ckpt")
            steps.append(torch.load(last, weights_only=True)["global_step"])
            assert read_outcome(last.parent) == Outcome("interrupted")
        assert all(step % 18 for step in steps)  # 108 images, 18 steps an epoch
        assert steps == sorted(set(steps))
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (folder,) = (run / "picks").iterdir()
        weights = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
        result = json.loads((folder / "result.json").read_text())
        assert read_outcome(folder) == Outcome("ok")
        outcomes.append((weights, table(folder / "metrics.csv"), table(folder / "trajectory.csv"), result["test_acc"]))
    (weights, *whole), (weights_ended, *ended) = outcomes
    assert ended == whole
    assert all(value.equal(weights_ended[name]) for name, value in weights.items())


def test_a_diverged_pick_is_stopped_and_reported_and_the_others_go_on(tmp_path, data):
    """A learning rate of 1e30: the loss is NaN within a few steps of the first epoch."""
    run = tmp_path / "run"
    for options in (("--lr", 1e30), ("--seed", 3)):
        architecture = SMALL if options[0] == "--lr" else SMALL.replace("1x1", "3x3")
        done = subprocess.run(
            command(data, run, "--architecture", architecture, "--epochs", 1, *options), cwd=ROOT, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if options[0] == "--lr":
            assert "diverged, the loss was not finite in epoch 1" in done.stdout
    results = {p.parent.name: json.loads(p.read_text()) for p in run.glob("picks/*/result.json")}
    assert sorted(result["status"] for result in results.values()) == ["diverged", "ok"]
    (diverged,) = [result for result in results.values() if result["status"] == "diverged"]
    assert diverged["test_acc"] is None
    assert "not finite in epoch 1" in diverged["reason"]
    ends = {name: read_outcome(run / "picks" / name) for name in results}
    assert {name: end.status for name, end in ends.items()} == {n: r["status"] for n, r in results.items()}
    assert diverged["reason"] in [end.message for end in ends.values()]
    assert diverged["score_init"] is not None
    rows = table(run / "comparison.csv")
    assert [row["status"] for row in rows].count("diverged") == 1


@pytest.mark.slow
def test_a_pick_that_runs_out_of_memory_takes_its_steps_in_halves(tmp_path, data):
    run = tmp_path / "run"
    options = ("--space", "tests.own_networks.networks", "--architecture", "hungry", "--batch_size", 20)
    done = subprocess.run(command(data, run, *options), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "out of memory; trained again with half the mini-batch: each step takes 2 x 10 images" in done.stdout
    (folder,) = (run / "picks").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["accumulate"]) == ("ok", 2)
    assert read_outcome(folder) == Outcome("ok")
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    assert saved["batch_size"] == 20
    assert "accumulate" not in saved
    assert yaml.safe_load((folder / "retry.yaml").read_text()) == {"accumulate": 2}
    # 108 images: 6 steps of 20 an epoch, as with whole mini-batches.
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 18
    again = subprocess.run(command(data, run, *options), cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert "out of memory" not in again.stdout
    assert yaml.safe_load((folder / "config.yaml").read_text()) == saved


@pytest.mark.slow
def test_halves_that_are_too_large_fail_and_say_so(tmp_path, data):
    run = tmp_path / "run"
    options = ("--space", "tests.own_networks.networks", "--architecture", "hungry", "--batch_size", 40)
    done = subprocess.run(command(data, run, *options), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.count("out of memory") == 1
    assert "FAILED: given-" in done.stderr
    assert not list(run.glob("picks/*/result.json"))
    (log,) = run.glob("picks/*/train.log")
    assert "cannot allocate memory for 20 images" in log.read_text()
    outcome = read_outcome(log.parent)
    assert outcome.status == "out of memory"
    assert "cannot allocate memory for 20 images" in outcome.message
