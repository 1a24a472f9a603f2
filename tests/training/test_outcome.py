"""How the process of a pick ends: what the user can mend, divergence, memory, a parent that is gone."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from naswot_lightning.analysis.results import read_results
from naswot_lightning.cli.search import run_search
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.execution.local import ThreadExecutor
from naswot_lightning.execution.resources import ResourceSlot
from naswot_lightning.training.pick import run_pick
from naswot_lightning.training.progress import Lines, Outcome, read_outcome
from naswot_lightning.training.run import TrainPick
from naswot_lightning.training.settings import read_pick
from tests.conftest import ROOT
from tests.images import make_image_folder
from tests.training.runs import OWN, SMALL, config_of, keeping_handlers, prepared, table, train_here

IN_BENCHMARK = {"architecture": SMALL, "space": "nasbench201"}
COMMAND = [sys.executable, "-m", "naswot_lightning.training.pick"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 40, "test": 10})


def ended(folder):
    """The exit code and the outcome of the pick's program, run in this process."""
    return keeping_handlers(lambda: run_pick(folder))[1], read_outcome(folder)


def test_main_says_ok_or_what_the_user_can_mend(tmp_path, data):
    shutil.copytree(data, tmp_path / "images")
    folder = prepared(config_of(tmp_path / "run", tmp_path / "images"))
    shutil.move(tmp_path / "images", tmp_path / "moved")
    code, outcome = ended(folder)
    assert (code, outcome.status) == (2, "user error")
    assert "images has no train/ folder" in outcome.message
    shutil.move(tmp_path / "moved", tmp_path / "images")
    assert ended(folder) == (0, Outcome("ok"))
    assert read_results(tmp_path / "run")[0].status == "ok"
    (folder / "config.yaml").write_text("rank: [")
    code, outcome = ended(folder)
    assert (code, outcome.status) == (2, "user error")
    assert "are damaged (config.yaml, retry.yaml; " in outcome.message
    assert "remove the folder" in outcome.message


def test_pick_diverged_is_stopped_and_reported_and_the_others_go_on(tmp_path, data, capsys):
    """A learning rate of 1e30: the loss is NaN within a few steps of the first epoch."""
    folder = prepared(config_of(tmp_path / "run", data, lr=1e30, seed=2))
    assert ended(folder)[0] == 0
    assert "diverged, the loss was not finite in epoch 1" in capsys.readouterr().out
    assert train_here(config_of(tmp_path / "run", data, seed=3, **IN_BENCHMARK)) == 0
    diverged, ok = sorted(read_results(tmp_path / "run"), key=lambda result: result.status)
    assert (diverged.status, ok.status) == ("diverged", "ok")
    assert diverged.test_acc is None
    assert diverged.score_init is not None
    assert "not finite in epoch 1" in diverged.reason
    for result in (diverged, ok):
        assert read_outcome(tmp_path / "run" / "picks" / result.pick) == Outcome(result.status, result.reason)
    assert [row["status"] for row in table(tmp_path / "run" / "comparison.csv")].count("diverged") == 1


@pytest.mark.slow
def test_pick_out_of_memory_takes_its_steps_in_halves_once_or_fails_and_leaves_the_others(tmp_path, data, capfd):
    options = {"space": OWN, "samples": 4, "dataset": "imagefolder", "data_dir": str(data), "batch_size": 6}
    assert run_search(SearchConfig(run_dir=str(tmp_path / "run"), wandb=WandbConfig("disabled"), **options)) == 0
    config = config_of(tmp_path / "run", data, architecture=None, space=OWN, picks="all", batch_size=40)
    assert run_training(config) == 1
    printed = capfd.readouterr()
    assert printed.out.count("out of memory") == 1  # halved once
    assert sorted(result.architecture for result in read_results(tmp_path / "run")) == ["features", "plain", "unused"]
    outcomes = {folder: read_outcome(folder) for folder in (tmp_path / "run" / "picks").iterdir()}
    (failed,) = [folder for folder, outcome in outcomes.items() if not outcome.has_result]
    assert f"FAILED: {failed.name}, see {failed / 'train.log'}" in printed.err
    assert outcomes[failed].status == "out of memory"
    assert "cannot allocate memory for 20 images" in outcomes[failed].message
    config = config_of(tmp_path / "halved", data, architecture="hungry", space=OWN, batch_size=20)
    for times in (1, 0):
        assert run_training(config) == 0
        said = "out of memory; trained again with half the batch: each step takes 2 x 10"
        assert capfd.readouterr().out.count(said) == times
    (folder,) = (tmp_path / "halved" / "picks").iterdir()
    assert [(result.status, result.accumulate) for result in read_results(tmp_path / "halved")] == [("ok", 2)]
    assert (read_pick(folder).settings.values.batch_size, read_pick(folder).accumulate) == (20, 2)
    # 108 images: 6 steps of 20, as with whole mini-batches.
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 6


def test_picks_that_share_a_device_are_trained_again_alone_before_their_steps_are_halved():
    class Short(TrainPick):
        """A device with memory for one."""

        beside = 0

        def _run(self, folder, slot):
            self.beside += 1
            time.sleep(0.1)
            found, self.beside = self.beside, self.beside - 1
            return Outcome("out of memory" if found > 1 else "ok")

    task = Short(Path("images"), "space", [ResourceSlot(1, {"CUDA_VISIBLE_DEVICES": "0"})] * 3, Lines())
    picks = [Path(name) for name in "abcdef"]
    assert dict(ThreadExecutor(3).run(task, picks)) == dict.fromkeys(picks, Outcome("ok"))


def test_a_pick_whose_device_breaks_is_trained_on_another_and_the_device_gets_no_more(caplog):
    class OnSickDevice(TrainPick):
        """Of its two devices one is broken; the other takes longer."""

        def _run(self, folder, slot):
            if slot.device == "sick":
                return Outcome("device fault", "CUDA error: uncorrectable ECC error encountered")
            time.sleep(0.05)
            return Outcome("ok")

    slots = [ResourceSlot(1, {"CUDA_VISIBLE_DEVICES": device}) for device in ("sick", "well")]
    picks = [Path(name) for name in "abcdef"]
    results = dict(ThreadExecutor(2).run(OnSickDevice(Path("images"), "space", slots, Lines()), picks))
    assert results == dict.fromkeys(picks, Outcome("ok"))
    said = [message for message in caplog.messages if "device sick is no longer used: 2 workers" in message]
    assert (len(said), len(caplog.messages)) == (1, 3)


def test_process_ends_with_its_parent_also_while_libraries_are_loaded(tmp_path):
    process = subprocess.Popen([*COMMAND, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.close()  # as when the parent dies
    assert process.wait(timeout=180) == -signal.SIGTERM
    assert process.stderr.read() == b""


def test_process_that_waits_for_others_ends_on_sigterm(tmp_path, data):
    folder = prepared(config_of(tmp_path / "run", data, accelerator="cpu", devices=2, strategy="ddp", **IN_BENCHMARK))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The first of two that somebody else starts.
    environment = {**os.environ, "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [*COMMAND, str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        time.sleep(0.05)
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 1):
            break
    process.terminate()
    assert process.wait(timeout=180) == -signal.SIGTERM
