import csv
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "extending.md"
_PART = re.compile(
    r"^## (?P<name>.+?)\n.*?"
    r"^`(?P<file>[\w/]+\.py)`\n```python\n(?P<code>.*?)^```\n"
    r"`(?P<registry>[A-Z]+)` in `(?P<home>[\w/]+\.py)`\n```python\n(?P<line>.*?)^```\n"
    r"```bash\n(?P<commands>.*?)^```\n",
    re.MULTILINE | re.DOTALL,
)
PARTS = {part["name"]: part for part in _PART.finditer(PAGE.read_text())}


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """A copy of the product with every change of the page made to it."""
    copy = tmp_path_factory.mktemp("product")
    shutil.copytree(ROOT / "naswot_lightning", copy / "naswot_lightning")  # with what numba has compiled
    for part in PARTS.values():
        assert not (copy / part["file"]).exists()
        (copy / part["file"]).write_text(part["code"])
        home = copy / part["home"]
        opened = re.compile(rf"^({part['registry']} = [\[{{]\n)", re.MULTILINE)
        text, found = opened.subn(lambda match, line=part["line"]: match[1] + line, home.read_text())
        assert found == 1, part["registry"]
        home.write_text(text)
    return copy


def checked(product, *words):
    """Run Python in the copy; return what it printed."""
    done = subprocess.run([sys.executable, *words], cwd=product, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


FILES = [part["file"] for part in PARTS.values()]


def run(product, part):
    """Run a part's commands as they stand; return what they printed."""
    printed = ""
    for command in PARTS[part]["commands"].splitlines():
        naswot, *words = shlex.split(command)
        assert naswot == "naswot"
        printed += checked(product, "-m", "naswot_lightning", *words, "--wandb.mode", "disabled")
    return printed


def ranking(folder):
    return json.loads((folder / "ranking.json").read_text())


def test_the_page_has_the_six_changes():
    assert list(PARTS) == [
        "A space", "A score", "An algorithm with feedback", "An executor", "A figure", "An evaluator",
    ]  # fmt: skip
    assert PAGE.read_text().count("```python") == 2 * len(PARTS)
    for part in PARTS.values():
        assert len(part["code"].splitlines()) < 40
        assert part["line"].count("\n") == 1


def test_the_code_of_the_page_is_linted(product):
    checked(product, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--ignore", "D", *FILES)


@pytest.mark.slow  # half a minute and more: nothing of a copy is in mypy's cache
def test_the_code_of_the_page_is_typed(product):
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    checked(product, "-m", "mypy", *settings, "--allow-untyped-defs", "--no-warn-unused-ignores", *FILES)


@pytest.mark.slow
def test_a_space_is_searched_and_trained_and_a_figure_is_drawn(product):
    assert "spaces.chain" not in run(product, "A space")
    assert len(ranking(product / "runs/chain")) == 6
    assert not (product / "runs/chain/figures/correlations.png").exists()  # of one network there is no tau
    assert "correlations.png" in run(product, "A figure")
    assert (product / "runs/chain/figures/correlations.png").read_bytes()[:4] == b"\x89PNG"


def test_a_score_is_a_column(product):
    run(product, "A score")
    rows = ranking(product / "runs/distance")
    assert all(0 < row["code_distance"] < 1 < row["naswot"] for row in rows if row["status"] == "ok")
    assert [row["score"] for row in rows] == [row["code_distance"] for row in rows]


@pytest.mark.slow
def test_an_algorithm_with_feedback_climbs_and_continues(product):
    run(product, "An algorithm with feedback")
    folder = product / "runs/climbing"
    whole = (folder / "ranking.json").read_bytes()
    lines = (folder / "scores.jsonl").read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 10
    firsts = [row["score"] for row in rows[:4] if row["score"] is not None]
    assert max(row["score"] for row in rows if row["score"] is not None) >= max(firsts)
    (folder / "scores.jsonl").write_text("".join(lines[:6]) + lines[6][:20])  # killed in the seventh
    run(product, "An algorithm with feedback")
    assert (folder / "ranking.json").read_bytes() == whole


@pytest.mark.slow
def test_an_executor_gives_the_ranking_of_the_serial_one(product):
    run(product, "An executor")
    words = ["--workers", "1", "--samples", "6", "--batch_size", "16", "--wandb.mode", "disabled"]
    checked(product, "-m", "naswot_lightning", "search", *words, "--run_dir", "runs/serial")
    names = ("ranking.json", "ranking.csv")
    assert all((product / "runs/renewed" / n).read_bytes() == (product / "runs/serial" / n).read_bytes() for n in names)


@pytest.mark.slow
def test_an_evaluator_ranks_by_its_own_column(product):
    printed = run(product, "An evaluator")
    with open(product / "runs/memory/ranking.csv", newline="") as file:
        values = [float(row["score"]) for row in csv.DictReader(file)]
    assert values == sorted(values)
    assert min(values) > 0
    assert "feature maps" in printed
