"""Picks trained in copies of a run folder, merged into one."""

import shutil
from functools import partial

import pytest

from naswot_lightning.cli import run_named
from naswot_lightning.cli.parser import parse
from naswot_lightning.config import TrainConfig
from tests.training.runs import train_here

merge = partial(run_named, "merge")
search = partial(run_named, "search")
train = partial(run_named, "train")

QUIET = ["--wandb.mode", "disabled"]
RECIPE = ["--epochs", "1", "--batch_size", "200", "--early_points", "1", *QUIET]


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Two copies of one search, each with another pick trained."""
    place = tmp_path_factory.mktemp("copies")
    cells = (
        f"|skip_connect~0|+|{first}~0|none~1|+|nor_conv_1x1~0|none~1|none~2|" for first in ("none", "skip_connect")
    )
    (place / "cells.txt").write_text("\n".join(cells))
    found = ["--architectures", str(place / "cells.txt"), "--canonical", "false", "--batch_size", "8"]
    assert search([*found, "--run_dir", str(place / "1"), *QUIET]) == 0
    shutil.copytree(place / "1", place / "2")
    for rank in (1, 2):
        words = ["--run_dir", str(place / str(rank)), "--picks", str(rank), *RECIPE]
        assert train_here(parse(TrainConfig, words, "naswot train")) == 0
    return place


def test_picks_of_copies_come_together_and_are_compared(copies, capsys):
    words = ["--run_dir", str(copies / "whole"), str(copies / "1"), str(copies / "2")]
    assert merge(words) == 0
    assert "2 trained picks copied: 1-" in capsys.readouterr().out
    lines = (copies / "whole" / "comparison.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["rank", "1", "2"]
    for rank in ("1", "2"):
        (made,) = (copies / rank / "picks").iterdir()
        same = copies / "whole" / "picks" / made.name
        assert (same / "result.json").read_bytes() == (made / "result.json").read_bytes()
    # The whole goes on as any run folder: both picks are finished in it.
    assert train(["--run_dir", str(copies / "whole"), "--top", "2", *RECIPE]) == 0
    assert merge(words) == 0
    assert "none is new" in capsys.readouterr().out


def test_merge_of_other_searches_or_settings_is_refused(copies, tmp_path, capsys):
    other, again = tmp_path / "other", tmp_path / "again"
    for folder in (other, again):
        shutil.copytree(copies / "2", folder)
    (other / "ranking.json").write_text((other / "ranking.json").read_text().replace("ok", "degenerate", 1))
    (settings,) = again.glob("picks/*/config.yaml")
    settings.write_text(settings.read_text().replace("\nlr: 0.1\n", "\nlr: 0.01\n"))
    capsys.readouterr()
    for folder, said in ((other, "their rankings differ"), (again, "lr was 0.1, now 0.01")):
        assert merge(["--run_dir", str(tmp_path / "whole"), str(copies / "2"), str(folder)]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not (tmp_path / "whole" / "ranking.json").exists()
