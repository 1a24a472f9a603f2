"""Recipes: of the benchmarks, changed by options, and as results and Figure 6 name them."""

import csv
from dataclasses import asdict

import pytest
import yaml

from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import CONFIGS, SearchConfig, TrainConfig
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.errors import UserError
from naswot_lightning.naswot import naswot_score
from naswot_lightning.training.classifier import ImageClassifier
from naswot_lightning.training.plan import describe_adaptation, plan_training
from naswot_lightning.training.settings import NAMES, Recipe, resolve_recipe
from tests.conftest import ROOT, shared_path
from tests.images import make_image_folder
from tests.spaces.nds.architectures import GENOTYPES
from tests.training.runs import SMALL, config_of, table

CELL = f"C4-L4|{GENOTYPES['DARTS_V2']}"


def test_resolve_recipe_is_that_of_the_benchmark():
    keys = ("epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "auxiliary_weight", "drop_path")
    for name, values in (
        ("nasbench201-200", (200, 256, "sgd", 0.1, 0.9, 5e-4, 0.0, 0.0)),
        ("nasbench201-12", (12, 256, "sgd", 0.1, 0.9, 5e-4, 0.0, 0.0)),
        ("nats-size-90", (90, 256, "sgd", 0.1, 0.9, 5e-4, 0.0, 0.0)),
        ("nasbench101-108", (108, 256, "rmsprop", 0.2, 0.9, 1e-4, 0.0, 0.0)),
        ("nds-100", (100, 128, "sgd", 0.1, 0.9, 5e-4, 0.4, 0.2)),
    ):
        resolved = asdict(resolve_recipe(name, {}, has_parts=True))
        assert set(resolved) == set(NAMES)
        assert tuple(resolved[key] for key in keys) == values
        assert (resolved["label_smoothing"], resolved["gradient_clip"]) == (0.0, None)
    chosen = {name: 7 for name in NAMES} | {"warmup_epochs": 2}
    assert asdict(resolve_recipe("nds-100", chosen, has_parts=True)) == chosen
    config = TrainConfig()
    assert (config.recipe, {getattr(config, name) for name in NAMES}) == ("nasbench201-200", {None})


def test_options_are_those_that_change_a_result_and_describe_the_recipe():
    def planned(**more):
        given = {"run_dir": "runs/none", "architecture": SMALL, "space": "nasbench201", "dataset": "cifar10", **more}
        return plan_training(TrainConfig(**given)).picks[0].settings

    for options, described in (
        ({}, "nasbench201-200"),
        ({"optimizer": "adamw"}, "nasbench201-200 (optimizer adamw, lr 0.001, weight_decay 0.05)"),
        ({"flip": False, "class_weights": True}, "nasbench201-200 (flip False, class_weights True)"),
        ({"recipe": "nasbench201-12", "batch_size": 64, "lr": 0.1}, "nasbench201-12 (batch_size 64)"),
        ({"precision": "bf16-mixed"}, "nasbench201-200 (precision bf16-mixed)"),
        ({"epochs": 3, "compile": True}, "nasbench201-200 (epochs 3, compile True)"),
        ({"trainer": {"max_time": "00:01:00:00"}}, "nasbench201-200"),
        ({"score_batch_norm": "both"}, "nasbench201-200"),
        ({"score_batch_norm": "running"}, "nasbench201-200 (score_batch_norm running)"),
        (
            {"trainer": {"limit_val_batches": 2}, "probe_split": "test", "compile": True},
            "nasbench201-200 (compile True, limit_val_batches 2, probe_split test)",
        ),
    ):
        assert planned(**options).describe_recipe() == described
    assert planned(trainer={"limit_val_batches": 2}, epochs=3).options() == {
        "epochs": 3,
        "trainer.limit_val_batches": 2,
    }


def test_recipe_is_adapted_to_few_images_unless_batch_or_rate_are_chosen(tmp_path):
    folder = make_image_folder(tmp_path / "images", {"train": 80, "test": 2}, size=4)

    def planned(**more):
        data = {"dataset": "imagefolder", "data_dir": str(folder), "run_dir": str(tmp_path / "none"), **more}
        training = plan_training(TrainConfig(architecture=SMALL, space="nasbench201", **data))
        return training.picks[0].settings, describe_adaptation(training)

    settings, said = planned()
    # A tenth of 240 is held out.
    assert settings.describe_recipe() == "nasbench201-200 (batch_size 16, lr 0.00625)"
    assert said == (
        "216 training images make only 1 step per epoch with --batch_size 256; using --batch_size 16 --lr "
        "0.00625 instead: "
        "14 steps per epoch, 2,800 in 200 epochs (give --batch_size or --lr to choose)"
    )
    assert planned(dataset="digits", recipe="nds-100")[0].values.batch_size == 32
    for chosen in ({"batch_size": 256}, {"lr": 0.1}):
        settings, said = planned(**chosen)
        assert (settings.describe_recipe(), said) == ("nasbench201-200", None)


def test_parts_that_a_space_has_not():
    resolved = resolve_recipe("nds-100", {}, has_parts=False)
    assert (resolved.auxiliary_weight, resolved.drop_path) == (0.0, 0.0)
    with pytest.raises(UserError, match=r"--drop_path 0\.1: only networks of the cell spaces nds_\* have this part"):
        resolve_recipe("nds-100", {"drop_path": 0.1}, has_parts=False)
    with pytest.raises(UserError, match="--warmup_epochs 12: expected fewer than the 12 epochs"):
        resolve_recipe("nasbench201-12", {"warmup_epochs": 12}, has_parts=False)
    with pytest.raises(UserError, match="did you mean 'nds-100'"):
        resolve_recipe("nds-10", {}, has_parts=True)


def test_train_config_with_bad_settings_is_refused():
    for options, message in (
        ({"seeds": "1,2,x"}, "--seeds 1,2,x: expected different whole numbers"),
        ({"seeds": [1, -2]}, "expected different whole numbers"),
        ({"seeds": 5, "seed": 4}, "give only one of them"),
        ({"label_smoothing": 1.0}, "--label_smoothing 1.0: expected at least 0 and less than 1"),
        ({"trainer": {"devices": "auto"}}, "--devices auto: expected the number of devices"),
    ):
        with pytest.raises(UserError, match=message.replace(".", r"\.")):
            TrainConfig(**options)


def test_trainer_arguments_with_an_option_of_their_own_are_the_same():
    config = TrainConfig(trainer={"devices": 2, "strategy": "ddp", "accelerator": "cpu", "max_time": "00:01:00:00"})
    assert (config.devices, config.strategy, config.accelerator) == (2, "ddp", "cpu")
    assert config.trainer == {"max_time": "00:01:00:00"}
    assert TrainConfig(seeds="777, 888").all_seeds() == [777, 888]
    assert TrainConfig(seeds=777).all_seeds() == [777]


def test_figure_6_trains_three_good_networks_by_the_recipe_of_nas_bench_201(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = parse(TrainConfig, ["--config", "figure6"], "naswot train")
    recipe = resolve_recipe(config.recipe, {name: getattr(config, name) for name in NAMES}, has_parts=False)
    assert recipe == Recipe(100, 256, "sgd", 0.1, 0.9, 5e-4)
    assert (config.score_batch_norm, config.probe_split, config.picks) == ("both", "train", "all")
    search = parse(SearchConfig, ["--config", "figure6"], "naswot search")
    assert (search.run_dir, search.space, search.dataset) == (config.run_dir, "nasbench201", "cifar10-valid")
    with open(shared_path("nasbench201-accuracies-1500.csv"), newline="") as file:
        accuracies = {row["arch"]: float(row["cifar10_valid_xvalid_200"]) for row in csv.DictReader(file)}
    networks = (CONFIGS / "search" / search.architectures).read_text().split()
    assert [round(accuracies[each], 1) for each in networks] == [90.5, 91.3, 91.6]


@pytest.mark.slow
def test_run_training_compiled_and_in_bfloat16_leaves_a_plain_checkpoint(tmp_path):
    """Its weights, in a network that is not compiled, have the score that the trajectory ends with."""
    data = make_image_folder(tmp_path / "images", {"train": 8, "test": 3})
    options = {"architecture": SMALL, "space": "nasbench201", "batch_size": 8, "probe_batch_size": 8}
    exact = {"precision": "bf16-mixed", "compile": "reduce-overhead", "deterministic": True}
    assert run_training(config_of(tmp_path / "run", data, **options, **exact)) == 0
    (folder,) = (tmp_path / "run" / "picks").iterdir()
    network = ImageClassifier.load_from_checkpoint(folder / "last.ckpt", map_location="cpu", compiled=False).network
    probe = ImageDataModule("imagefolder", str(data), 8).probe(8, 0)
    score = float(table(folder / "trajectory.csv")[-1]["score"])
    assert naswot_score(network, probe.images) == pytest.approx(score, rel=1e-5)
    assert yaml.safe_load((folder / "config.yaml").read_text())["options"]["compile"] == "reduce-overhead"
