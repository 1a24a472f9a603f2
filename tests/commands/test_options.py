"""Options beyond any bound, or of no meaning: one line before any work, nothing written."""

import pytest

from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.search import run_search
from naswot_lightning.cli.train import run_training
from naswot_lightning.config import SearchConfig, TrainConfig

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
COMMANDS = {
    "search.py": (run_search, SearchConfig, ()),
    "train.py": (run_training, TrainConfig, ("--architecture", SMALL)),
}
BILLION = "1000000000"


@pytest.mark.parametrize(
    ("script", "option", "value"),
    [
        ("search.py", "--space", "."),
        ("search.py", "--space", ".."),
        ("search.py", "--space", ""),
        ("search.py", "--probe_size", BILLION),
        ("search.py", "--batch_size", BILLION),
        ("search.py", "--repeats", BILLION),
        ("search.py", "--samples", BILLION),
        ("search.py", "--workers", BILLION),
        ("search.py", "--seed", str(2**32)),
        ("search.py", "--seed", "9" * 5000),
        ("search.py", "--seed", "-1"),
        ("search.py", "--device", "gpu9"),
        ("search.py", "--precision", "17"),
        ("search.py", "--wandb.project", "a/b"),
        ("search.py", "--wandb.group", ""),
        ("train.py", "--space", "."),
        ("train.py", "--space", ".."),
        ("train.py", "--early_points", BILLION),
        ("train.py", "--batch_size", BILLION),
        ("train.py", "--epochs", BILLION),
        ("train.py", "--probe_batch_size", BILLION),
        ("train.py", "--probe_batch_size", "1"),
        ("train.py", "--probe_split", "val"),
        ("train.py", "--score_batch_norm", "eval"),
        ("train.py", "--devices", BILLION),
        ("train.py", "--image_size", BILLION),
        ("train.py", "--seed", str(2**32)),
        ("train.py", "--seeds", f"1,{2**32}"),
        ("train.py", "--seeds", "7,07"),
        ("train.py", "--seeds", "7,"),
        ("train.py", "--precision", "17"),
        ("train.py", "--strategy", "dpp"),
        ("train.py", "--accelerator", "qpu"),
        ("train.py", "--lr", "nan"),
        ("train.py", "--lr", "inf"),
        ("train.py", "--drop_path", "nan"),
        ("train.py", "--wandb.project", "a/b"),
        ("train.py", "--trainer.limit_train_batches", "abc"),
        ("train.py", "--trainer.profiler", "cProfile.Profile"),
        ("train.py", "--trainer.limit_train_batches", "-1"),
    ],
)
def test_one_line_names_the_option_and_nothing_is_written(tmp_path, monkeypatch, capsys, script, option, value):
    monkeypatch.chdir(tmp_path)
    function, settings, more = COMMANDS[script]
    assert run_command(function, settings, script, ["--run_dir", "run", *more, option, value]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert option.rpartition("--")[2] in error, error
    assert len(error) < 1000
    assert not list(tmp_path.iterdir())
