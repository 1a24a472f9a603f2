import csv
import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import torch
from torch import nn

from naswot_lightning import registry, score
from naswot_lightning.cli import run_named
from naswot_lightning.cli.parser import choices
from naswot_lightning.errors import UserError
from naswot_lightning.scores.registry import REGISTERED, get_score
from naswot_lightning.spaces import own_code
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "extending.md"
_PART = re.compile(
    r"^## (?P<name>[^\n]+)\n(?:(?!^## ).)*?^`(?P<file>\w+\.py)`\n```python\n(?P<code>.*?)^```\n"
    r"```bash\n(?P<commands>.*?)^```\n",
    re.MULTILINE | re.DOTALL,
)
PARTS = {part["name"]: part for part in _PART.finditer(PAGE.read_text())}
FILES = [part["file"] for part in PARTS.values()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder with the files of the page."""
    made = tmp_path_factory.mktemp("own")
    for part in PARTS.values():
        (made / part["file"]).write_text(part["code"])
    return made


def checked(folder, *words):
    """Run Python in the folder; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commands(part):
    """Return the words of a part's commands."""
    for command in PARTS[part]["commands"].splitlines():
        naswot, name, *words = shlex.split(command)
        assert naswot == "naswot"
        yield name, *words, *([] if name == "report" else ["--wandb.mode", "disabled"])


def run(folder, part):
    """Run a part's commands as they stand; return what they printed."""
    return "".join(checked(folder, "-m", "naswot_lightning", *words) for words in commands(part))


@pytest.fixture
def here(folder, monkeypatch):
    """The folder as that of this process, which forgets the score at the end."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(own_code, "_trusted", set())
    yield folder
    REGISTERED.pop("code_distance", None)
    sys.modules.pop("code_distance", None)


def ranking(path):
    return json.loads((path / "ranking.json").read_text())


def test_the_page_has_six_files():
    assert list(PARTS) == [
        "A space", "A score", "An algorithm with feedback", "An executor", "A figure", "An evaluator",
    ]  # fmt: skip
    assert PAGE.read_text().count("```python") == len(PARTS)
    assert all(len(part["code"].splitlines()) < 40 for part in PARTS.values())


def test_the_code_of_the_page_is_linted(folder):
    checked(folder, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--ignore", "D,I", *FILES)


@pytest.mark.slow  # half a minute and more: nothing of a copy is in mypy's cache
def test_the_code_of_the_page_is_typed(folder):
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    checked(folder, "-m", "mypy", *settings, "--allow-untyped-defs", "--no-warn-unused-ignores", *FILES)


@pytest.mark.slow
def test_a_space_is_searched_and_trained_and_a_figure_is_drawn(folder):
    run(folder, "A space")
    assert len(ranking(folder / "runs/chain")) == 6
    assert not (folder / "runs/chain/figures/correlations.draw_correlations.png").exists()
    assert "correlations.draw_correlations.png" in run(folder, "A figure")
    assert (folder / "runs/chain/figures/correlations.draw_correlations.png").read_bytes()[:4] == b"\x89PNG"


def test_a_score_is_a_column(here):
    ((command, *words),) = commands("A score")
    assert run_named(command, words) == 0
    rows, name = ranking(here / "runs/distance"), "code_distance.code_distance"
    assert all(0 < row[name] < 1 < row["naswot"] for row in rows if row["status"] == "ok")
    assert [row["score"] for row in rows] == [row[name] for row in rows]
    # The report of somebody's run imports nothing that it names.
    del sys.modules["code_distance"], REGISTERED["code_distance"]
    assert run_named("report", ["--run_dir", "runs/distance", "--figure", "score_vs_params"]) == 0
    assert "code_distance" not in sys.modules


def test_an_installed_package_gives_a_score_by_an_entry_point(here):
    facts = here / "mine-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    lines = "distance = code_distance:code_distance\nlost = code_distance:nothing\n"
    (facts / "entry_points.txt").write_text(f"[naswot_lightning.scores]\n{lines}")
    registry._installed.cache_clear()
    try:
        assert choices()["scores"][-2:] == ["distance", "lost"]
        assert "code_distance" not in sys.modules
        network = nn.Sequential(nn.Flatten(), nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 3))
        assert 0 < score(network, torch.randn(4, 3, 2, 2), scores=["distance"])["distance"] < 1
        with pytest.raises(UserError, match="score lost of the package mine cannot be imported"):
            get_score("lost")
    finally:
        registry._installed.cache_clear()


@pytest.mark.slow
def test_an_algorithm_with_feedback_climbs_and_continues(folder):
    run(folder, "An algorithm with feedback")
    made = folder / "runs/climbing"
    whole = (made / "ranking.json").read_bytes()
    lines = (made / "scores.jsonl").read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 10
    firsts = [row["score"] for row in rows[:4] if row["score"] is not None]
    assert max(row["score"] for row in rows if row["score"] is not None) >= max(firsts)
    (made / "scores.jsonl").write_text("".join(lines[:6]) + lines[6][:20])  # killed in the seventh
    run(folder, "An algorithm with feedback")
    assert (made / "ranking.json").read_bytes() == whole


@pytest.mark.slow
def test_an_executor_gives_the_ranking_of_the_serial_one(folder):
    run(folder, "An executor")
    words = ["--workers", "1", "--samples", "6", "--batch_size", "16", "--wandb.mode", "disabled"]
    checked(folder, "-m", "naswot_lightning", "search", *words, "--run_dir", "runs/serial")
    names = ("ranking.json", "ranking.csv")
    assert all((folder / "runs/renewed" / n).read_bytes() == (folder / "runs/serial" / n).read_bytes() for n in names)


@pytest.mark.slow
def test_an_evaluator_ranks_by_its_own_column(folder):
    printed = run(folder, "An evaluator")
    with open(folder / "runs/memory/ranking.csv", newline="") as file:
        values = [float(row["score"]) for row in csv.DictReader(file)]
    assert values == sorted(values)
    assert min(values) > 0
    assert "feature maps" in printed
