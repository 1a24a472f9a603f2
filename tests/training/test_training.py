"""What a search and the training of its picks leave, from the ranking to the comparison and wandb."""

import json
import os
from dataclasses import replace

import pytest
import yaml

from naswot_lightning.cli.search import run_search
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.report.wandb.runs import ComparisonRun
from naswot_lightning.spaces import get_space
from naswot_lightning.training.progress import Outcome, read_outcome
from tests.images import make_image_folder
from tests.runs import wandb_files
from tests.training.runs import table, train_here

SPACE = get_space("nasbench201")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A search in "." and the training of its two best through a link, wandb offline."""
    data = make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 40, "test": 10})
    run = tmp_path_factory.mktemp("trained") / "run"
    run.mkdir()
    link = run.with_name("link")
    link.symlink_to(run)
    shared = {"data_dir": str(data), "wandb": WandbConfig("offline")}
    before = os.getcwd()
    os.chdir(run)
    try:
        assert run_search(SearchConfig(run_dir=".", dataset="imagefolder", samples=5, batch_size=16, **shared)) == 0
    finally:
        os.chdir(before)
    config = TrainConfig(run_dir=str(link), top=2, epochs=2, batch_size=20, **shared)
    shown, pick_ended = [], ComparisonRun.pick_ended
    with pytest.MonkeyPatch.context() as patch:
        count = lambda self: shown.append(len(results_of(run))) or pick_ended(self)  # noqa: E731
        patch.setattr(ComparisonRun, "pick_ended", count)
        assert train_here(config) == 0
    assert shown == [1]  # before the next pick is asked for
    return run, replace(config, run_dir=str(run))


def results_of(run):
    return {path.parent: json.loads(path.read_text()) for path in sorted(run.glob("picks/*/result.json"))}


def test_pick_folder_has_the_files_of_the_contract_and_the_score_of_the_ranking_first(trained):
    run, _ = trained
    ranking = {row["architecture"]: row for row in json.loads((run / "ranking.json").read_text())}
    assert [folder.name.split("-")[0] for folder in results_of(run)] == ["1", "2"]
    for folder, result in results_of(run).items():
        names = {path.name for path in folder.iterdir()}
        assert {"config.yaml", "last.ckpt", "best.ckpt", "trajectory.csv", "metrics.csv", "result.json"} <= names
        assert "retry.yaml" not in names
        assert read_outcome(folder) == Outcome("ok")
        assert folder.name.split("-")[1] == str(SPACE.index(result["architecture"]))
        assert 0 <= result["test_acc"] <= 1
        points = table(folder / "trajectory.csv")
        assert float(points[0]["score"]) == result["score_init"] == ranking[result["architecture"]]["score"]
        assert float(points[-1]["score"]) == result["score_final"]
        epochs = table(folder / "metrics.csv")
        assert result["best_val_acc"] == max(float(row["val/acc"]) for row in epochs)
        assert result["seconds"] > 0


def test_wandb_has_one_run_per_pick_in_the_group_of_search_and_comparison(trained):
    run, _ = trained
    assert [row["rank"] for row in table(run / "comparison.csv")] == ["1", "2"]
    group = f"run-{(run / '.run_id').read_text().strip()}"
    for folder in results_of(run):
        (path,) = wandb_files(run, f"*-{folder.name}-*")
        content = path.read_bytes()
        for word in ("score/naswot", "val/acc", group):
            assert word.encode() in content
        assert yaml.safe_load((folder / "config.yaml").read_text())["wandb"]["group"] == group
    for kind in ("search", "comparison"):
        (path,) = wandb_files(run, f"*-{kind}")
        assert group.encode() in path.read_bytes()
    assert len(list(run.glob("wandb/offline-run-*"))) == 4


def test_run_training_again_trains_nothing_and_refuses_other_settings(trained):
    run, config = trained
    before = {path: path.stat().st_mtime_ns for path in run.glob("picks/*/last.ckpt")}
    assert run_training(config) == 0
    assert {path: path.stat().st_mtime_ns for path in run.glob("picks/*/last.ckpt")} == before
    assert len(list(run.glob("wandb/offline-run-*"))) == 4  # the search, two picks, their comparison
    for changed, message in (
        ({"epochs": 5}, "epochs was 2, now 5; .*--overwrite"),
        ({"top": 50}, "--top 50: the rank"),
    ):
        with pytest.raises(UserError, match=message):
            run_training(replace(config, **changed))
    assert len(results_of(run)) == 2
