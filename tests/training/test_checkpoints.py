import subprocess
import sys

import pytest
import torch

from naswot_lightning.training.checkpoints import WholeCheckpointIO, best_and_last
from tests.conftest import ROOT

_KILLED = """
import os, sys
from pathlib import Path
from naswot_lightning.storage.files import atomic_path
with atomic_path(Path(sys.argv[1])) as beside:
    beside.write_bytes(b"half of a checkpoint")
    os._exit(9)
"""


def test_a_save_that_was_killed_leaves_the_checkpoint_before(tmp_path):
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"step": 1}, path)
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", _KILLED, str(path)], cwd=ROOT, check=False)
        assert killed.returncode == 9
    assert torch.load(path, weights_only=True) == {"step": 1}


def test_the_next_save_removes_what_killed_ones_have_left(tmp_path):
    path = tmp_path / "last.ckpt"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", _KILLED, str(path)], cwd=ROOT, check=False)
    assert list(tmp_path.iterdir()) != []
    WholeCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 2}
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("path", ["..", ".", "/", "/etc/passwd", "../../mine", "sub/..", "best.ckpt"])
def test_no_path_of_a_checkpoint_is_kept_and_so_removed(tmp_path, path):
    for kept, name in zip(best_and_last(tmp_path), ("best.ckpt", "last.ckpt"), strict=True):
        own, score = str(tmp_path / name), torch.tensor(0.5)
        paths = dict.fromkeys(("best_model_path", "kth_best_model_path", "last_model_path"), path)
        state = {"best_k_models": {path: score}, "best_model_score": score, "kth_value": score, "dirpath": "/"}
        kept.load_state_dict({**paths, **state})
        assert kept.best_model_path == kept.kth_best_model_path == kept.last_model_path == own
        assert kept.best_k_models == {own: score}
