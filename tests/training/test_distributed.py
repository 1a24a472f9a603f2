"""Two processes on the CPU (gloo) train one pick together."""

import json
import signal
from dataclasses import replace

import pytest
import torch

from naswot_lightning.cli.train import run_training
from naswot_lightning.config import WandbConfig
from naswot_lightning.spaces import trust
from tests.images import make_image_folder
from tests.training.runs import OWN, config_of, outcome_of, table, train_here

TWO = {"devices": 2, "strategy": "ddp", "accelerator": "cpu"}
NB201 = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"


@pytest.fixture(autouse=True)
def limit():
    """Processes that wait for each other would do so for half an hour."""
    handler = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("1200 s: the processes wait for each other"))
    signal.alarm(1200)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """85 images to train on, 6 steps of 14 and one of a single image; 15 to validate: unequal shares of processes.

    Of one class there are fewer, so that classes have weights.
    """
    folder = make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 33, "val": 5, "test": 5})
    for path in sorted((folder / "train" / "cat").iterdir())[:14]:
        path.unlink()
    return folder


def trained(data, run, space, architecture, **options):
    options = {"batch_size": 14, "probe_batch_size": 16, "epochs": 2, "early_points": 8, **options}
    train = run_training if "devices" in options else train_here
    assert train(config_of(run, data, space=space, architecture=architecture, **options)) == 0
    (folder,) = (run / "picks").iterdir()
    return folder


def numbers(path):
    return [{k: float(v) for k, v in row.items() if v} for row in table(path)]


# Of the job in which the command runs, whose processes are none of the pick's.
LAUNCHER = {
    "RANK": "1", "LOCAL_RANK": "0", "NODE_RANK": "1", "GROUP_RANK": "1", "WORLD_SIZE": "8", "MASTER_ADDR": "192.0.2.1",
    "MASTER_PORT": "9", "TORCHELASTIC_RUN_ID": "1", "TORCHELASTIC_USE_AGENT_STORE": "True", "SLURM_NTASKS": "8",
    "SLURM_NTASKS_PER_NODE": "8", "SLURM_NPROCS": "8", "SLURM_JOB_NAME": "job", "SLURM_NNODES": "4",
    "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "/absent",
    "JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_RANK": "1", "JSM_NAMESPACE_SIZE": "8",
    "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "8", "PL_TRAINER_LIMIT_TRAIN_BATCHES": "1",
}  # fmt: skip


@pytest.mark.parametrize("class_weights", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_two_processes_train_as_one_whatever_job_they_are_in(tmp_path, data, monkeypatch, capsys, class_weights):
    """Without BatchNorm, which sees each process's share: weights, metrics and scores are one process's.

    Lightning chooses DDP, which must be told that some parameters are unused.
    """
    one = trained(data, tmp_path / "one", OWN, "unused", class_weights=class_weights)
    for name, value in LAUNCHER.items():
        monkeypatch.setenv(name, value)
    options = {**TWO, "strategy": "auto", "trainer": {"log_every_n_steps": 5}, "class_weights": class_weights}
    two = trained(data, tmp_path / "two", OWN, "unused", **options)
    assert capsys.readouterr().out.count("some parameters do not affect the output, so DDP searches for them") == 1
    weights = [torch.load(f / "last.ckpt", weights_only=True)["state_dict"] for f in (one, two)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(numbers(one / "metrics.csv"), numbers(two / "metrics.csv"), strict=True):
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
def test_two_processes_with_batch_norm_are_one_wandb_run_that_starts_with_the_score_of_one(tmp_path, data, capsys):
    options = {"trainer": {"limit_train_batches": 2}, "score_batch_norm": "both"}
    run = tmp_path / "run"
    folder = trained(data, run, "nasbench201", NB201, **TWO, **options, wandb=WandbConfig("offline"))
    assert capsys.readouterr().out.count("epoch 2/2") == 1
    assert len(list(run.glob(f"wandb/offline-run-*-{folder.name}-*"))) == 1
    alone = trained(data, tmp_path / "alone", "nasbench201", NB201, **options)
    points = (table(f / "trajectory.csv")[0] for f in (folder, alone))
    first, second = ([float(point[name]) for name in ("score", "score_running")] for point in points)
    assert first == pytest.approx(second, rel=1e-6)  # each of two processes has fewer threads, hence other sums
    result = json.loads((folder / "result.json").read_text())
    # The checkpoint's accuracy counts each test image once, also where the processes' shares are unequal.
    assert round(result["test_acc"] * 15) == pytest.approx(result["test_acc"] * 15)


@pytest.mark.slow
def test_memory_of_one_process_that_runs_out_is_what_the_command_is_told(tmp_path, data, capsys):
    second = "tests.own_networks.networks_of_two"
    trust(second)
    trained(data, tmp_path / "run", second, "second_hungry", **TWO, epochs=1, batch_size=28)
    assert "out of memory; trained again with half the batch: each step takes 2 x 7" in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_interrupted_in_mid_epoch_end_as_uncut_ones_to_the_bit_and_one_goes_on_with_their_work(
    tmp_path, data, capsys
):
    options = {**TWO, "space": OWN, "architecture": "plain", "batch_size": 2, "epochs": 3, "threads": 1}
    uncut = trained(data, tmp_path / "uncut", **options)
    out_of_time = {"trainer": {"max_time": "00:00:00:01"}}
    inside = []
    for run, then in (("two", {}), ("one", {"devices": 1, "strategy": "auto"})):
        config = config_of(tmp_path / run, data, early_points=8, probe_batch_size=16, **options)
        while run_training(replace(config, **out_of_time)) == 1:
            (last,) = (tmp_path / run / "picks").glob("*/last.ckpt")
            inside.append(torch.load(last, weights_only=True)["callbacks"]["SaveOnSignal"]["batches"])
            config = replace(config, **then)
    # Some ended with an epoch; none may be lost for that.
    assert any(inside)
    assert outcome_of(tmp_path / "two" / "picks" / uncut.name) == outcome_of(uncut)
    # Of one device that goes on, sums are rounded otherwise: this network has neither BatchNorm nor dropout.
    assert capsys.readouterr().out.count("on 1 device from here, on 2 before: BatchNorm sees each device's share") == 1
    one = tmp_path / "one" / "picks" / uncut.name
    for ours, theirs in zip(numbers(one / "metrics.csv"), numbers(uncut / "metrics.csv"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert json.loads((one / "result.json").read_text())["test_loss"] == pytest.approx(
        json.loads((uncut / "result.json").read_text())["test_loss"], rel=1e-4
    )
