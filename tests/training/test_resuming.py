"""Interrupted, killed, out of time, on a full disk: run again, a training ends as an uncut one, to the last bit."""

import json
import random
import time
from dataclasses import replace

import pytest
import torch

from naswot_lightning.cli import run_named
from naswot_lightning.cli.train import run_training
from naswot_lightning.storage.run_folder import RunFolder
from tests.execution.tasks import interrupted_when
from tests.images import make_image_folder
from tests.training.runs import SMALL, checkpoints_of, config_of, count_points, outcome_of, train_here, words_of

OPTIONS = {"architecture": SMALL, "space": "nasbench201", "epochs": 3, "early_points": 8, "threads": 1}
STEPS = 18  # of an epoch: 108 images, 6 a step


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 40, "test": 4})


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    """Two picks, trained one after the other without a cut; their outcomes by name."""
    config = config_of(tmp_path_factory.mktemp("whole") / "run", data, seeds="1,2", workers=1, **OPTIONS)
    assert train_on_one_thread(config) == 0
    return outcomes_of(config)


def train_on_one_thread(config):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return train_here(config)
    finally:
        torch.set_num_threads(threads)


def outcomes_of(config):
    return {pick.name: outcome_of(pick) for pick in RunFolder(config.run_dir).picks.iterdir()}


def test_picks_interrupted_and_continued_are_those_of_one_after_the_other(tmp_path, data, whole, capsys):
    config = config_of(tmp_path / "run", data, seeds="1,2", workers=2, **OPTIONS)
    points = random.Random(time.time_ns()).randint(2, 4)
    with interrupted_when(lambda: count_points(config) > points):
        assert run_named("train", words_of(config)[1:]) == 130
    errors = capsys.readouterr().err
    assert errors.strip().splitlines()[-1] == "naswot train: error: interrupted; run the same command again to continue"
    assert "Traceback" not in errors
    # After the step at hand: inside an epoch.
    assert any(each["global_step"] % STEPS for each in checkpoints_of(config))
    assert train_on_one_thread(config) == 0
    assert outcomes_of(config) == whole


@pytest.mark.slow
def test_a_training_out_of_time_has_no_result_and_continues_to_that_of_an_uncut_one(tmp_path, data, capfd):
    folders = []
    for number, limit in enumerate(({}, {"max_time": "00:00:00:01"})):
        config = config_of(tmp_path / str(number), data, epochs=60, trainer=limit)
        code = run_training(config)
        (pick,) = RunFolder(config.run_dir).picks.iterdir()
        if limit:
            assert code == 1
            assert f"{pick.name}: stopped by --trainer.max_time; run the same command again" in capfd.readouterr().err
            assert not (pick / "result.json").exists()
            assert not (tmp_path / str(number) / "comparison.csv").exists()
            assert (pick / "last.ckpt").exists()
            code = run_training(replace(config, trainer={}))
        assert code == 0
        folders.append(pick)
    assert outcome_of(folders[0]) == outcome_of(folders[1])
    assert json.loads((folders[1] / "result.json").read_text())["epochs_trained"] == 60
