from dataclasses import asdict

import pytest
import torch
import yaml

from naswot_lightning.config import TrainConfig
from naswot_lightning.errors import UserError
from naswot_lightning.training.classifier import ImageClassifier
from naswot_lightning.training.plan import plan_training
from naswot_lightning.training.recipes import NAMES, RECIPES, changes_of, resolve_recipe
from spaces import get_space
from spaces.nds.cells import GENOTYPES
from tests.images import make_image_folder

CELL = f"C4-L4|{GENOTYPES['DARTS_V2']}"
SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("nasbench201-200", (200, 256, "sgd", 0.1, 0.9, 5e-4, 0.0, 0.0)),
        ("nasbench201-12", (12, 256, "sgd", 0.1, 0.9, 5e-4, 0.0, 0.0)),
        ("nats-size-90", (90, 256, "sgd", 0.1, 0.9, 5e-4, 0.0, 0.0)),
        ("nasbench101-108", (108, 256, "rmsprop", 0.2, 0.9, 1e-4, 0.0, 0.0)),
        ("nds-100", (100, 128, "sgd", 0.1, 0.9, 5e-4, 0.4, 0.2)),
    ],
)
def test_recipes_are_those_of_the_benchmarks(name, values):
    resolved = asdict(resolve_recipe(name, {}, has_parts=True))
    assert set(resolved) == set(NAMES)
    keys = ("epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "auxiliary_weight", "drop_path")
    assert tuple(resolved[key] for key in keys) == values
    assert resolved["label_smoothing"] == 0.0
    assert resolved["gradient_clip"] is None


def test_every_value_can_be_overridden():
    chosen = {
        "epochs": 3, "batch_size": 8, "optimizer": "rmsprop", "lr": 0.5, "momentum": 0.1, "weight_decay": 0.2,
        "label_smoothing": 0.3, "gradient_clip": 4.0, "auxiliary_weight": 0.6, "drop_path": 0.7,
    }  # fmt: skip
    assert set(chosen) == set(NAMES)
    for name in RECIPES:
        assert asdict(resolve_recipe(name, chosen, has_parts=True)) == chosen
        assert resolve_recipe(name, dict.fromkeys(chosen), True) == resolve_recipe(name, {}, True)


def test_options_are_those_that_change_a_result_and_describe_the_recipe():
    def planned(**more):
        config = TrainConfig(run_dir="runs/none", architecture=SMALL, space="nasbench201", dataset="digits", **more)
        return plan_training(config).picks[0].settings

    for options, described in (
        ({}, "nasbench201-200"),
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
    assert changes_of("nds-100", resolve_recipe("nds-100", {}, has_parts=True)) == {}


def test_parts_that_a_space_has_not():
    resolved = resolve_recipe("nds-100", {}, has_parts=False)
    assert (resolved.auxiliary_weight, resolved.drop_path) == (0.0, 0.0)
    with pytest.raises(UserError, match=r"--drop_path 0\.1: the networks of this space have no such part"):
        resolve_recipe("nds-100", {"drop_path": 0.1}, has_parts=False)
    with pytest.raises(UserError, match="did you mean 'nds-100'"):
        resolve_recipe("nds-10", {}, has_parts=True)


def test_the_default_recipe_is_that_of_the_paper():
    config = TrainConfig()
    assert config.recipe == "nasbench201-200"
    assert all(getattr(config, name) is None for name in NAMES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": "1,2,x"}, "--seeds 1,2,x: expected different whole numbers"),
        ({"seeds": "1,1"}, "--seeds 1,1"),
        ({"seeds": [1, -2]}, "expected different whole numbers"),
        ({"seeds": 5, "seed": 4}, "give one of them"),
        ({"label_smoothing": 1.0}, "--label_smoothing 1.0: expected at least 0 and less than 1"),
        ({"drop_path": -0.1}, "--drop_path -0.1"),
        ({"devices": 0}, "--devices 0"),
        ({"trainer": {"devices": "auto"}}, "--devices auto: expected the number of devices"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        TrainConfig(**options)


def test_trainer_arguments_with_an_option_of_their_own_are_the_same():
    config = TrainConfig(trainer={"devices": 2, "strategy": "ddp", "accelerator": "cpu", "max_time": "00:01:00:00"})
    assert (config.devices, config.strategy, config.accelerator) == (2, "ddp", "cpu")
    assert config.trainer == {"max_time": "00:01:00:00"}
    assert TrainConfig(seeds="777, 888").all_seeds() == [777, 888]
    assert TrainConfig(seeds=777).all_seeds() == [777]


def test_the_parts_do_not_change_the_network_that_was_scored():
    """The cells' weights, hence the score, are those without auxiliary head and drop path."""
    plain = ImageClassifier("nds_darts", CELL, 3, [100.0] * 3, [50.0] * 3, seed=5)
    parts = ImageClassifier("nds_darts", CELL, 3, [100.0] * 3, [50.0] * 3, seed=5, auxiliary_weight=0.4, drop_path=0.2)
    assert parts.network.auxiliary_head is not None
    assert plain.network.auxiliary_head is None
    own = dict(parts.network.cells.named_parameters())
    assert own
    assert all(value.equal(own[name]) for name, value in plain.network.cells.named_parameters())
    with pytest.raises(ValueError, match="no auxiliary head and no drop path"):
        get_space("nasbench201").with_training_parts(SMALL, True, 0.0)


def test_label_smoothing_and_auxiliary_loss_enter_the_training_loss_alone():
    torch.manual_seed(0)
    model = ImageClassifier(
        "nds_darts", CELL, 3, [100.0] * 3, [50.0] * 3, label_smoothing=0.2, auxiliary_weight=0.5, drop_path=0.1
    )
    model.log = lambda *_, **__: None
    images, labels = torch.randint(256, (6, 32, 32, 3), dtype=torch.uint8), torch.tensor([0, 1, 2, 0, 1, 2])
    model.network.drop_path = 0.0
    normal = (images.permute(0, 3, 1, 2).float() - 100) / 50
    logits, auxiliary = model.train().network(normal)
    smooth = torch.full((6, 3), 0.2 / 3).scatter_add(1, labels[:, None], torch.full((6, 1), 0.8))

    def loss(values, target):
        return -(target * values.log_softmax(1)).sum(1).mean()

    expected = loss(logits, smooth) + 0.5 * loss(auxiliary, smooth)
    assert model._evaluate(normal, labels, "train").item() == pytest.approx(expected.item(), rel=1e-5)
    logits = model.eval().network(normal)
    sharp = torch.nn.functional.one_hot(labels, 3).float()
    value = model._evaluate(normal, labels, "val").item()
    assert value == pytest.approx(loss(logits, sharp).item(), rel=1e-5)


@pytest.mark.slow
def test_a_recipe_on_the_command_line_is_resolved_saved_and_trains(train, tmp_path):
    """RMSprop, auxiliary head, drop path, smoothing, clipping and two seeds in one run."""
    data = make_image_folder(tmp_path / "images", {"train": 8, "test": 3}, size=32)
    run = tmp_path / "run"
    done = train(
        "--run_dir", run, "--space", "nds_darts", "--architecture", CELL, "--dataset", "imagefolder",
        "--data_dir", data,
        "--recipe", "nds-100", "--epochs", 2, "--batch_size", 8, "--probe_batch_size", 8, "--optimizer", "rmsprop",
        "--lr", 0.01, "--label_smoothing", 0.1, "--gradient_clip", 1.0,
        "--seeds", "777,888", "--wandb.mode", "disabled",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folders = sorted((run / "picks").iterdir())
    assert [folder.name.rpartition("-")[2] for folder in folders] == ["seed777", "seed888"]
    saved = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in folders]
    assert [(s["seed"], s["recipe"], s["auxiliary_weight"], s["drop_path"]) for s in saved] == [
        (777, "nds-100", 0.4, 0.2), (888, "nds-100", 0.4, 0.2),
    ]  # fmt: skip
    weights = [
        torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]["network.classifier.weight"]
        for folder in folders
    ]
    assert not weights[0].equal(weights[1])


@pytest.mark.slow
def test_compiled_and_in_bfloat16(train, tmp_path):
    data = make_image_folder(tmp_path / "images", {"train": 8, "test": 3})
    run = tmp_path / "run"
    done = train(
        "--run_dir", run, "--architecture", SMALL, "--dataset", "imagefolder", "--data_dir", data, "--epochs", 1,
        "--batch_size", 8, "--probe_batch_size", 8, "--precision", "bf16-mixed", "--compile", "--deterministic",
        "--wandb.mode", "disabled",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + next(run.glob("picks/*/train.log")).read_text()
    (checkpoint,) = run.glob("picks/*/best.ckpt")
    model = ImageClassifier.load_from_checkpoint(checkpoint, map_location="cpu")
    assert not [name for name in model.state_dict() if "_orig_mod" in name]


def test_drop_path_grows_over_the_epochs(tmp_path):
    import pytorch_lightning as pl

    from naswot_lightning.data.module import ImageDataModule

    seen = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(pl_module.network.drop_path)

    data = make_image_folder(tmp_path / "images", {"train": 4, "test": 2}, size=32)
    model = ImageClassifier("nds_darts", CELL, 3, [100.0] * 3, [50.0] * 3, drop_path=0.3)
    trainer = pl.Trainer(
        max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, callbacks=[Watch()],
    )  # fmt: skip
    trainer.fit(model, ImageDataModule("imagefolder", str(data), batch_size=12))
    assert seen == pytest.approx([0.0, 0.1, 0.2])
