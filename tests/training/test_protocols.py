"""What a data set decides of a training: its validation and test images, and the images of the trajectory."""

import json

import pytest
import torch
import yaml

from naswot_lightning import naswot_score
from naswot_lightning.cli.train import run_training
from naswot_lightning.data.augmentation import normalized
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from naswot_lightning.training.classifier import ImageClassifier
from tests.archives import write_cifar10
from tests.images import make_image_folder
from tests.training.runs import SMALL, config_of, table, train_here


def trained(run_dir, data, **options):
    """Train; the images are loaded in this process, where the archives' checksums are those of the small ones."""
    options = {"architecture": SMALL, "space": "nasbench201", "batch_size": 50, "probe_batch_size": 8, **options}
    assert train_here(config_of(run_dir, data, **options)) == 0
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
    assert "val acc" not in printed.out.partition("trained pick")[0]
    assert "warning" not in printed.err
    assert table(tmp_path / "run" / "comparison.csv")[0]["best_val_acc"] == ""


@pytest.mark.slow
def test_a_pick_is_scored_on_all_test_images_by_both_statistics(tmp_path):
    data = make_image_folder(tmp_path / "images", {"train": 12, "test": 4})
    network = {"architecture": SMALL, "space": "nasbench201", "batch_size": 18}
    chosen = {**network, "probe_split": "test", "score_batch_norm": "both", "probe_batch_size": 12}
    assert run_training(config_of(tmp_path / "run", data, **chosen)) == 0
    (pick,) = (tmp_path / "run" / "picks").iterdir()
    last = table(pick / "trajectory.csv")[-1]
    dataset = load_dataset("imagefolder", str(data))
    assert len(dataset.test) == 12
    images = normalized(dataset.test.images, torch.tensor(dataset.mean), torch.tensor(dataset.std))
    model = ImageClassifier.load_from_checkpoint(pick / "last.ckpt", map_location="cpu")
    by_batch, running = (naswot_score(model, images, batch_norm=mode) for mode in ("batch", "running"))
    # The process of the pick may share its sums out among another number of threads.
    assert (float(last["score"]), float(last["score_running"])) == pytest.approx((by_batch, running), rel=1e-3)
    assert abs(by_batch - running) > 1e-2 * abs(by_batch)
    result = json.loads((pick / "result.json").read_text())
    assert result["recipe"] == "nasbench201-200 (epochs 1, batch_size 18, probe_split test)"
    assert result["score_final"] == float(last["score"])
    saved = yaml.safe_load((pick / "config.yaml").read_text())
    assert (saved["probe_split"], saved["score_batch_norm"]) == ("test", "both")
    with pytest.raises(UserError, match="score_batch_norm was 'both', now 'running'"):
        run_training(config_of(tmp_path / "run", data, **{**chosen, "score_batch_norm": "running"}))
