import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

import pytest

from naswot_lightning.config import TrainConfig, WandbConfig
from naswot_lightning.training.plan import plan_training
from naswot_lightning.training.progress import Outcome, clear_outcome, read_outcome
from naswot_lightning.training.settings import PickRun, prepare_pick
from tests.conftest import ROOT
from tests.images import make_image_folder

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


@pytest.mark.parametrize("outcome", [Outcome("ok"), Outcome("diverged", "the loss"), Outcome("failed", "a: b")])
def test_what_is_written_is_read(tmp_path, outcome):
    outcome.write(tmp_path)
    assert read_outcome(tmp_path) == outcome
    assert outcome.has_result == (outcome.status != "failed")
    clear_outcome(tmp_path)
    assert read_outcome(tmp_path) == Outcome("killed")
    clear_outcome(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"status": "x", "message": ""}'])
def test_a_process_that_left_no_word_was_killed(tmp_path, content):
    assert read_outcome(tmp_path) == Outcome("killed")
    (tmp_path / "outcome.json").write_text(content)
    assert read_outcome(tmp_path) == Outcome("killed")


def ended(folder):
    """The process of a pick, without a command that waits for it; return its exit code and its outcome."""
    command = [sys.executable, "-m", "naswot_lightning.training.pick", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        code = process.wait(timeout=120)
    return code, json.loads((folder / "outcome.json").read_text())


def prepared(tmp_path, data, **options):
    config = TrainConfig(
        run_dir=str(tmp_path / "run"), architecture=SMALL, dataset="imagefolder", data_dir=str(data), epochs=1,
        batch_size=6, probe_batch_size=6, early_points=0, wandb=WandbConfig("disabled"), **options,
    )  # fmt: skip
    (pick,) = plan_training(config).picks
    return prepare_pick(tmp_path / "run", pick.settings, PickRun("disabled", "p", "g", "id", pick.name), False)


def test_a_process_says_what_the_user_can_mend(tmp_path):
    folder = prepared(tmp_path, tmp_path / "absent")
    code, outcome = ended(folder)
    assert (code, outcome["status"]) == (2, "user error")
    assert "absent has no train/ folder" in outcome["message"]
    (folder / "config.yaml").write_text("rank: [")
    code, outcome = ended(folder)
    assert (code, outcome["status"]) == (2, "user error")
    assert "damaged (config.yaml, retry.yaml): remove the folder" in outcome["message"]


def test_a_process_that_trains_says_ok(tmp_path):
    folder = prepared(tmp_path, make_image_folder(tmp_path / "images", {"train": 10, "test": 2}))
    assert ended(folder) == (0, {"status": "ok", "message": None})
    assert json.loads((folder / "result.json").read_text())["status"] == "ok"


def test_a_process_ends_with_its_parent_also_while_libraries_are_loaded(tmp_path):
    command = [sys.executable, "-m", "naswot_lightning.training.pick", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.close()  # as when the parent dies
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert process.stderr.read() == b""


def test_a_process_that_waits_for_others_ends_on_sigterm(tmp_path):
    data, both = make_image_folder(tmp_path / "images", {"train": 10, "test": 2}), {"devices": 2, "strategy": "ddp"}
    folder = prepared(tmp_path, data, accelerator="cpu", **both)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The first of two that somebody else starts.
    environment = {**os.environ, "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "naswot_lightning.training.pick", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 1):
            break
    process.terminate()
    assert process.wait(timeout=30) == -signal.SIGTERM
