import csv
import json

import pytest
import torch
import yaml

from naswot_lightning.cli.train import run_training
from naswot_lightning.config import TrainConfig, WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.training.pick import train_pick
from tests.archives import write_cifar10, write_cifar100
from tests.data.lists import write_lists

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


def trained(run_dir, **settings):
    """Train; the images are loaded in this process, where the archives' checksums are those of the small ones."""
    config = TrainConfig(
        run_dir=str(run_dir), architecture=SMALL, batch_size=50, probe_batch_size=8, early_points=2,
        wandb=WandbConfig(mode="disabled"), **settings,
    )  # fmt: skip
    assert run_training(config) == 0
    return next(run_dir.glob("picks/*"))


def test_training_without_validation_keeps_the_last_epoch(tmp_path, monkeypatch, capsys):
    write_cifar10(tmp_path, monkeypatch)
    pick = trained(tmp_path / "run", dataset="cifar10", data_dir=str(tmp_path), epochs=2)
    result = json.loads((pick / "result.json").read_text())
    assert (result["val_set"], result["test_set"], result["best_val_acc"]) == (None, "ori-test", None)
    with open(pick / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert not [name for name in rows[0] if name.startswith("val")]
    best, last = (torch.load(pick / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["epoch"] == last["epoch"] == 1
    assert all(best["state_dict"][name].equal(value) for name, value in last["state_dict"].items())
    printed = capsys.readouterr()
    assert "val acc" not in printed.out.split("trained picks")[0]
    assert "warning" not in printed.err
    with open(tmp_path / "run" / "comparison.csv", newline="") as file:
        assert next(csv.DictReader(file))["best_val_acc"] == ""


@pytest.mark.slow
def test_training_without_validation_is_continued(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    pick = trained(tmp_path / "run", dataset="cifar10", data_dir=str(tmp_path), epochs=1)
    settings = yaml.safe_load((pick / "config.yaml").read_text())
    (pick / "config.yaml").write_text(yaml.safe_dump({**settings, "epochs": 2}))
    train_pick(pick)
    epochs = [torch.load(pick / f"{name}.ckpt", weights_only=True)["epoch"] for name in ("best", "last")]
    assert epochs == [1, 1]
    assert {path.name for path in pick.glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
    assert len((pick / "metrics.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_training_on_our_own_split_warns_and_saves_it(tmp_path, monkeypatch, capsys):
    write_cifar100(tmp_path, monkeypatch)
    place = {"dataset": "cifar100", "data_dir": str(tmp_path), "epochs": 1}
    pick = trained(tmp_path / "own", **place)
    assert "train.py: warning: cifar100: its test images are split" in capsys.readouterr().err
    assert "not the benchmark's official lists" in yaml.safe_load((pick / "config.yaml").read_text())["split"]
    assert json.loads((pick / "result.json").read_text())["val_set"] == "x-valid (own split)"
    path = write_lists(tmp_path / "split.txt", range(50), range(50, 100))
    pick = trained(tmp_path / "official", **place, split_file=str(path))
    assert "warning" not in capsys.readouterr().err
    assert json.loads((pick / "result.json").read_text())["test_set"] == "x-test"
    with pytest.raises(UserError, match="was trained with other settings: split was"):
        trained(tmp_path / "own", **place, split_file=str(path))
