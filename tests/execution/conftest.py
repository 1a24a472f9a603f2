"""A small search, and what one process makes of it."""

import json

import pytest

from naswot_lightning.command_line import parse
from naswot_lightning.config import SearchConfig
from naswot_lightning.search import run_search
from tests.commands.test_shadowing import NAMES

SMALL = ("--samples", "12", "--batch_size", "16", "--score", "naswot,synflow", "--wandb.mode", "disabled")


@pytest.fixture(scope="session")
def ranking_of_one(tmp_path_factory):
    """The ranking that one process, with one thread, makes of the small search."""
    folder = tmp_path_factory.mktemp("one") / "run"
    run_search(parse(SearchConfig, [*SMALL, "--workers", "1", "--run_dir", str(folder)], "search.py"))
    ranking = (folder / "ranking.json").read_bytes()
    assert len(json.loads(ranking)) == 12
    return ranking


@pytest.fixture
def foreign(tmp_path):
    """A folder with files that have the names of libraries; one that is run leaves a canary."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w').write('{name}')\n")
    return tmp_path
