"""A trained pick as a model: loaded, exported, asked, and refused where it is not whole."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from naswot_lightning.analysis.results import read_confusion
from naswot_lightning.cli import run_named
from naswot_lightning.cli.parser import parse
from naswot_lightning.config import TrainConfig
from naswot_lightning.deploy import standalone
from naswot_lightning.deploy.model import TOLERANCE, choose_result, load
from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import write_json
from naswot_lightning.training.classifier import ImageClassifier
from tests.commands.ends import refused
from tests.runs import result, write_pick
from tests.training.runs import train_here

export = partial(run_named, "export")
predict = partial(run_named, "predict")

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
COLOURS = {"blue": (40, 60, 210), "green": (40, 200, 60), "red": (210, 60, 50)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images of three colours, of 40 x 32 pixels, and a run that was trained on them."""
    place = tmp_path_factory.mktemp("deploy")
    rng = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 6)):
        for name, colour in COLOURS.items():
            folder = place / "images" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(rng.normal(colour, 30, (32, 40, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    run = ["--run_dir", str(place / "run"), "--wandb.mode", "disabled"]
    images = ["--dataset", "imagefolder", "--data_dir", str(place / "images"), "--image_size", "16"]
    recipe = ["--epochs", "2", "--batch_size", "8", "--lr", "0.02", "--early_points", "1", "--probe_batch_size", "16"]
    words = ["--space", "nasbench201", "--architecture", SMALL, *images, *recipe, *run]
    assert train_here(parse(TrainConfig, words, "naswot train")) == 0
    return place


@pytest.fixture(scope="module")
def model(place):
    """The folder that export writes."""
    assert export(["--run_dir", str(place / "run"), "--output", str(place / "model")]) == 0
    return place / "model"


def test_confusion_is_of_the_test_images_and_the_accuracy_of_the_result(place):
    best = choose_result(place / "run")
    found = read_confusion(place / "run" / "picks" / best.pick)
    assert found.classes == tuple(COLOURS)
    assert found.counts.sum(1).tolist() == [6, 6, 6]
    assert found.counts.trace() / 18 == pytest.approx(best.test_acc)


def test_loaded_model_is_the_network_of_the_best_epoch(place):
    model = load(place / "run")
    assert model.classes == tuple(COLOURS)
    saved = ImageClassifier.load_from_checkpoint(place / "run" / "picks" / model.facts.pick / "best.ckpt")
    images = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        # In another memory format, whose sums are rounded otherwise.
        assert torch.allclose(model(images), saved.eval()(images), atol=1e-5)
    assert not model.training
    # As the data set prepares them: the same probabilities as in the test of the training.
    files = sorted((place / "images" / "test").rglob("*.png"))
    right = [label == file.parent.name for file, (label, _) in zip(files, model.predict(files, 5), strict=True)]
    assert sum(right) / len(right) == pytest.approx(model.facts.test_acc)


def test_exported_model_says_what_the_network_says(place, model):
    loaded, exported = load(place / "run"), load(model)
    program = torch.export.load(model / "model.pt2").module()
    for count in (1, 5):
        images = torch.randn(count, 3, 16, 16)
        with torch.no_grad():
            expected = loaded(images)
            assert torch.equal(exported(images), expected)
            assert (program(images) - expected).abs().max() <= TOLERANCE * max(expected.abs().max(), 1)
    assert json.loads((model / "classes.json").read_text()) == list(COLOURS)


def test_folder_predicts_without_this_package(place, model):
    files = [place / "images" / "test" / name / "0.png" for name in COLOURS]
    Image.open(files[0]).save(place / "blue.ppm")
    # 16 bits, of which Pillow shows all above 255 as white.
    grey = (257 * np.asarray(Image.open(files[0]))[..., 0].astype(np.uint16)) + 40
    Image.fromarray(grey).save(place / "grey.png")
    Image.fromarray((grey >> 8).astype(np.uint8)).save(place / "grey8.png")
    assert torch.equal(standalone.read_image(f"{place}/grey.png"), standalone.read_image(f"{place}/grey8.png"))
    # Without our package and its folder: -I leaves out both PYTHONPATH and the working directory.
    command = [sys.executable, "-I", model / "predict.py", *files, place / "blue.ppm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=place)
    labels = [line.rpartition(": ")[2].split()[0] for line in done.stdout.splitlines()]
    assert labels == [*(label for label, _ in load(model).predict(files)), labels[0]]
    assert "naswot" not in (model / "predict.py").read_text()


def test_command_prints_each_image_or_writes_a_table(place, model, capsys):
    folder = place / "images" / "test"
    assert predict(["--model", str(model), str(folder / "red"), str(folder / "blue" / "0.png")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7
    assert predict(["--model", str(model), "--csv", str(place / "p.csv"), str(folder)]) == 0
    lines = (place / "p.csv").read_text().splitlines()
    assert lines[0] == "image,class,probability"
    assert len(lines) == 19


def test_mistake_is_one_line_and_nothing_is_written(place, model, capsys):
    run = ["--run_dir", str(place / "run")]
    for main, words, said in (
        (export, [*run, "--pick", "9"], "run; expected best, a rank, or one of given-"),
        (export, [*run, "--format", "tf", "--output", str(place / "new")], "unknown format 'tf'"),
        (export, [*run, "--output", str(place / "images")], "contains files that are not part of a model"),
        (export, ["--run_dir", str(place / "none")], "no such folder; expected a run folder"),
        (predict, ["--model", str(model)], "name image files"),
        (predict, ["--model", str(model), str(place / "none.png")], "none.png: no such file or folder"),
    ):
        assert said in refused(capsys, main, *words)
    assert not (place / "new").exists()
    for images in (torch.randint(0, 256, (1, 3, 16, 16)), 255 * torch.rand(3, 16, 16), torch.randn(3, 16, 16)):
        with pytest.raises(UserError, match="expected uint8, or floats from 0 to 1, not normalised"):
            load(model).predict(images)
    damaged = place / "damaged"
    damaged.mkdir()
    write_json(damaged / "model.json", {"space": "nats_size"})
    with pytest.raises(UserError, match="has no complete model"):
        load(damaged)


def test_best_pick_is_chosen_by_validation_accuracy_never_by_the_test_set(tmp_path):
    for rank, val_acc, test_acc in ((1, 0.80, 0.95), (2, 0.85, 0.90), (3, 0.99, None)):
        status = "diverged" if test_acc is None else "ok"
        write_pick(tmp_path, result(rank, best_val_acc=val_acc, test_acc=test_acc, status=status))
    assert choose_result(tmp_path).rank == 2
    for rank in (1, 2):
        write_pick(tmp_path / "given", result(rank, best_val_acc=None, rank=None), name=f"given-{rank}")
    with pytest.raises(UserError, match="expected one of given-1, given-2"):
        choose_result(tmp_path / "given")
