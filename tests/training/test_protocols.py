import json

import pytest
import torch
import yaml

from naswot_lightning.cli.train import run_training
from naswot_lightning.errors import UserError
from naswot_lightning.training.pick import train_pick
from tests.archives import write_cifar10, write_cifar100, write_lists
from tests.training.runs import SMALL, config_of, keeping_handlers, table


def trained(run_dir, data, **options):
    """Train; the images are loaded in this process, where the archives' checksums are those of the small ones."""
    options = {"architecture": SMALL, "space": "nasbench201", "batch_size": 50, "probe_batch_size": 8, **options}
    assert run_training(config_of(run_dir, data, **options)) == 0
    return next(run_dir.glob("picks/*"))


def test_training_without_validation_keeps_the_last_epoch(tmp_path, monkeypatch, capsys):
    write_cifar10(tmp_path, monkeypatch)
    pick = trained(tmp_path / "run", tmp_path, dataset="cifar10", epochs=2)
    result = json.loads((pick / "result.json").read_text())
    assert (result["val_set"], result["test_set"], result["best_val_acc"]) == (None, "ori-test", None)
    rows = table(pick / "metrics.csv")
    assert len(rows) == 2
    assert not [name for name in rows[0] if name.startswith("val")]
    best, last = (torch.load(pick / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["epoch"] == last["epoch"] == 1
    assert all(best["state_dict"][name].equal(value) for name, value in last["state_dict"].items())
    printed = capsys.readouterr()
    assert "val acc" not in printed.out.split("trained picks")[0]
    assert "warning" not in printed.err
    assert table(tmp_path / "run" / "comparison.csv")[0]["best_val_acc"] == ""


@pytest.mark.slow
def test_training_without_validation_is_continued(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    pick = trained(tmp_path / "run", tmp_path, dataset="cifar10")
    settings = yaml.safe_load((pick / "config.yaml").read_text())
    (pick / "config.yaml").write_text(yaml.safe_dump({**settings, "epochs": 2}))
    keeping_handlers(lambda: train_pick(pick))
    epochs = [torch.load(pick / f"{name}.ckpt", weights_only=True)["epoch"] for name in ("best", "last")]
    assert epochs == [1, 1]
    assert {path.name for path in pick.glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
    assert len((pick / "metrics.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_training_on_our_own_split_warns_and_saves_it(tmp_path, monkeypatch, capsys):
    write_cifar100(tmp_path, monkeypatch)
    pick = trained(tmp_path / "own", tmp_path, dataset="cifar100")
    assert "train.py: warning: cifar100: its test images are split" in capsys.readouterr().err
    assert "not the benchmark's official lists" in yaml.safe_load((pick / "config.yaml").read_text())["split"]
    assert json.loads((pick / "result.json").read_text())["val_set"] == "x-valid (own split)"
    path = write_lists(tmp_path / "split.txt", range(50), range(50, 100))
    pick = trained(tmp_path / "official", tmp_path, dataset="cifar100", split_file=str(path))
    assert "warning" not in capsys.readouterr().err
    assert json.loads((pick / "result.json").read_text())["test_set"] == "x-test"
    with pytest.raises(UserError, match="was trained with other settings: split was"):
        trained(tmp_path / "own", tmp_path, dataset="cifar100", split_file=str(path))
