"""A training that did not come to its end is not recorded as if it had."""

import json

import pytest

from naswot_lightning.analysis.results import TrainingResult, comparable, read_results
from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import TrainConfig
from tests.commands.ends import assert_one_line
from tests.images import make_image_folder
from tests.runs import result
from tests.training.hurried import outcome_of, train

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
EPOCHS = ("--epochs", 60)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_image_folder(tmp_path_factory.mktemp("data") / "images", {"train": 20, "test": 4})


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = train(folder, data, *EPOCHS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_a_training_out_of_time_has_no_result_and_continues_to_that_of_an_uncut_one(tmp_path, data, whole):
    run = tmp_path / "run"
    limit = ("--trainer.max_time", "00:00:00:01")
    done = train(run, data, *EPOCHS, *limit)
    (pick,) = (run / "picks").iterdir()
    assert_one_line(done, f"{pick.name}: stopped by --trainer.max_time; run the same command again", code=1)
    assert not list(run.glob("picks/*/result.json"))
    assert not (run / "comparison.csv").exists()
    assert (pick / "last.ckpt").exists()
    done = train(run, data, *EPOCHS)
    assert done.returncode == 0, done.stderr
    (uncut,) = (whole / "picks").iterdir()
    assert outcome_of(pick) == outcome_of(uncut)
    assert json.loads((pick / "result.json").read_text())["epochs_trained"] == 60


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--trainer.max_steps", 3), "--epochs"),
        (("--trainer.min_steps", 3), "--epochs"),
        (("--trainer.min_epochs", 3), "--epochs"),
        (("--trainer.max_epochs", 3), "--epochs"),
        (("--trainer.fast_dev_run", "true"), "--trainer.limit_train_batches"),
        (("--trainer.max_time", "00:00:06"), "days:hours:minutes:seconds"),
        (("--trainer.max_time", "6"), "days:hours:minutes:seconds"),
        (("--trainer.limit_train_batches", 0), "at least one"),
        (("--trainer.limit_val_batches", 0.0), "at least one"),
        (("--trainer.enable_checkpointing", "false"), "set by train.py itself"),
    ],
)
def test_what_would_cut_a_training_unseen_is_refused(tmp_path, capsys, words, message):
    words = ["--run_dir", str(tmp_path / "run"), "--architecture", SMALL, *map(str, words)]
    assert run_command(run_training, TrainConfig, "train.py", words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"), [("limit_train_batches", 2), ("overfit_batches", 2), ("limit_test_batches", 1)]
)
def test_a_training_on_a_part_says_so_and_stands_in_a_group_of_its_own(tmp_path, data, name, value):
    for number, more in enumerate(((f"--trainer.{name}", value), ())):
        done = train(tmp_path / str(number), data, "--epochs", 1, *more)
        assert done.returncode == 0, done.stderr
    limited, full = (read_results(tmp_path / number)[0] for number in "01")
    assert f"{name} {value}" in limited.recipe
    assert name not in full.recipe
    assert len(comparable([limited, full])) == 2


def test_a_result_of_fewer_epochs_enters_no_statistic():
    row = {**result(1), "epochs": 200, "recipe": "nasbench201-200"}
    cut, full = (TrainingResult.from_json({**row, "epochs_trained": n, "canonical": f"c{n}"}, "1-x") for n in (4, 200))
    (group,) = comparable([cut, full])
    assert [network.canonical for network in group.usable] == ["c200"]
