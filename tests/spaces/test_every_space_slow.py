"""Every space through the commands: ranked on digits, its best network trained for two epochs."""

import csv
import json

import pytest

from spaces import get_space, list_spaces
from tests.conftest import run_script
from tests.images import make_image_folder

CHANCE = 0.1  # of digits
# Small networks of each space: options of the space, and a limit on multiply-accumulates.
SMALL = {
    "nasbench201": ("", 20_000_000),
    "nats_size": ("", 5_000_000),
    "nasbench101": ("", 60_000_000),
    "nasbench101_16": (":uniform=true", 10_000_000),
    **dict.fromkeys(("nds_nasnet", "nds_amoeba", "nds_pnas", "nds_enas", "nds_darts"), (":width=8,depth=3", None)),
    "nds_resnet": (":naswot_quirks=true", 20_000_000),
    **dict.fromkeys(("nds_resnext_a", "nds_resnext_b", "nds_vanilla"), ("", 20_000_000)),
}
# Two epochs are too few for an accuracy above chance: BatchNorm statistics of NAS-Bench-101 follow the images at 0.3 %
# per step, and the small networks of the others are deep and narrow.
NOT_ACCURATE_YET = ("nasbench101", "nasbench101_16", "nds_resnet", "nds_resnext_a", "nds_resnext_b", "nds_vanilla")

pytestmark = pytest.mark.slow


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def rank_and_train(run, space, *options, batch_size=32, lr=0.1):
    """Run both commands; the pick is the best of the ranking, its trajectory begins with that score."""
    common = ("--run_dir", run, "--space", space, "--wandb.mode", "disabled")
    ranked = run_script("search.py", *common, *options, "--samples", 2, "--batch_size", 32)
    assert ranked.returncode == 0, ranked.stderr
    trained = run_script("train.py", *common, "--top", 1, "--epochs", 2, "--batch_size", batch_size, "--lr", lr)
    assert trained.returncode == 0, trained.stderr
    (pick,) = (run / "picks").iterdir()
    ranking, result = (json.loads(path.read_text()) for path in (run / "ranking.json", pick / "result.json"))
    assert [row["rank"] for row in ranking] == [1, 2]
    assert ranking[0]["status"] == "ok"
    assert result["space"] == get_space(space).name
    same = ("rank", "architecture", "params", "macs")
    assert [result[name] for name in same] == [ranking[0][name] for name in same]
    assert result["score_init"] == pytest.approx(ranking[0]["score"], rel=1e-5)
    trajectory = [float(row["score"]) for row in table(pick / "trajectory.csv")]
    assert trajectory[0] == result["score_init"]
    assert trajectory[-1] == result["score_final"] != result["score_init"]
    (row,) = table(run / "comparison.csv")
    assert (float(row["test_acc"]), row["architecture"]) == (result["test_acc"], result["architecture"])
    assert (run / "figures" / "figure6.png").stat().st_size > 10_000
    return ranking, result, [float(row["train/loss"]) for row in table(pick / "metrics.csv")]


def test_small_networks_of_every_space_are_listed():
    assert list(SMALL) == list_spaces()


@pytest.mark.parametrize("name", SMALL)
def test_search_and_train(name, tmp_path):
    options, macs = SMALL[name]
    ranking, result, losses = rank_and_train(tmp_path / "run", name + options, *(("--max_macs", macs) if macs else ()))
    assert all(macs is None or row["macs"] <= macs for row in ranking)
    assert losses[1] < losses[0]
    if name not in NOT_ACCURATE_YET:
        assert result["test_acc"] > 2 * CHANCE


def test_the_imagenet_skeleton_on_large_images(tmp_path):
    data = make_image_folder(tmp_path / "images", {"train": 40, "test": 10}, size=64)
    dataset = ("--dataset", "imagefolder", "--data_dir", data)
    space = "nds_darts:imagenet=true,width=8,depth=3"
    ranking, result, _ = rank_and_train(tmp_path / "run", space, *dataset, batch_size=8, lr=0.01)
    assert result["space"] == "nds_darts:depth=3,imagenet=true,width=8"
    assert ranking[0]["architecture"].startswith("C8-L3-imagenet|")
    assert result["test_acc"] > 0.5  # chance is a third
