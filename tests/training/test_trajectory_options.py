"""--probe_split and --score_batch_norm, from the command to the files of a pick."""

import csv
import json

import pytest
import torch
import yaml

from naswot_lightning import naswot_score
from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.data.augmentation import normalized
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from naswot_lightning.training.classifier import ImageClassifier
from naswot_lightning.training.recipes import NAMES, Recipe, resolve_recipe
from spaces import get_space
from tests.conftest import ROOT, shared_path
from tests.images import make_image_folder
from tests.training.runs import SMALL, config_of, table


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


def test_the_configuration_of_figure_6_is_the_recipe_of_nas_bench_201(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = parse(TrainConfig, ["--config", "configs/train/figure6.yaml"], "train.py")
    recipe = resolve_recipe(config.recipe, {name: getattr(config, name) for name in NAMES}, has_parts=False)
    assert recipe == Recipe(100, 256, "sgd", 0.1, 0.9, 5e-4)
    assert (config.score_batch_norm, config.probe_split, config.picks) == ("both", "train", "all")
    search = parse(SearchConfig, ["--config", "configs/search/figure6.yaml"], "search.py")
    assert (search.run_dir, search.space, search.dataset) == (config.run_dir, "nasbench201", "cifar10-valid")
    networks = (ROOT / search.architectures).read_text().split()
    assert [get_space("nasbench201").validate(each) for each in networks] == [None] * 3


def test_the_networks_of_figure_6_are_above_90_percent():
    with open(shared_path("nasbench201-accuracies-1500.csv"), newline="") as file:
        accuracies = {row["arch"]: float(row["cifar10_valid_xvalid_200"]) for row in csv.DictReader(file)}
    networks = (ROOT / "configs" / "search" / "figure6.txt").read_text().split()
    assert [round(accuracies[each], 1) for each in networks] == [90.5, 91.3, 91.6]
