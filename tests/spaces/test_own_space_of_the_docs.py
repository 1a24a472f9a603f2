"""The worked example of docs/own-space.md: its class as it stands there, and its commands."""

import csv
import json
import random
import re
import sys

import pytest
import torch

from spaces import SpaceError, get_space
from tests.conftest import ROOT, run_script
from tests.docs.pages import blocks

(CODE,) = [block.text for block in blocks(ROOT / "docs" / "own-space.md") if block.file]
COMMANDS = [
    words for block in blocks(ROOT / "docs" / "own-space.md") if block.language == "bash" for words in block.commands
]
SMALLER = {"--samples": "6", "--epochs": "1", "--top": "3"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "small_resnets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    get_space.cache_clear()
    yield tmp_path
    sys.modules.pop("small_resnets", None)
    get_space.cache_clear()


def test_it_is_a_space(folder):
    space, rng = get_space("small_resnets.SmallResNets"), random.Random(0)
    architecture = space.sample(rng)
    for _ in range(50):
        child = space.mutate(architecture, rng)
        pairs = zip(re.findall(r"\d+", architecture), re.findall(r"\d+", child), strict=True)
        assert sum(a != b for a, b in pairs) == 1
        assert "-".join(f"{depth}x{width}" for depth, width in space.parse(child)) == child == space.canonical(child)
        architecture = child
    assert space.complexity(child).params == sum(p.numel() for p in space.build(child).parameters())
    assert space.build("1x8-2x16-1x8", 7)(torch.randn(2, 3, 16, 16)).shape == (2, 7)
    (graph,) = space.graph("1x16-2x32-1x64")
    assert [node.label.split()[0] for node in graph.nodes] == ["images", "1", "2", "1", "classifier"]


def test_its_mistakes_and_its_option(folder):
    space = get_space("small_resnets.SmallResNets")
    for wrong in ("", "1x16", "1x16-2x32-4x64", "1x16-2x32-1x64-1x8"):
        with pytest.raises(SpaceError, match="expected 3 of 1x8, 1x16"):
            space.validate(wrong)
    space = get_space("small_resnets.SmallResNets:stages=2")
    assert space.build("1x8-1x8")(torch.randn(2, 3, 8, 8)).shape == (2, 10)


@pytest.mark.slow
def test_its_commands(folder):
    """As they stand in the document, with fewer samples, picks and epochs."""
    ran = []
    for program, script, *options in COMMANDS:
        if script not in ("search.py", "train.py"):
            continue
        assert program == "python"
        given = [SMALLER.get(before, word) for before, word in zip(["", *options], options, strict=False)]
        done = run_script(script, *given, "--wandb.mode", "disabled", cwd=folder)
        assert done.returncode == 0, done.stderr
        ran.append(script)
    assert ran == ["search.py", "train.py"]
    with (folder / "runs" / "own" / "comparison.csv").open(newline="") as file:
        compared = list(csv.DictReader(file))
    assert [int(row["rank"]) for row in compared] in ([1, 3, 6], [1, 4, 6])
    ranking = json.loads((folder / "runs" / "own" / "ranking.json").read_text())
    for row in compared:
        assert float(row["score_init"]) == pytest.approx(ranking[int(row["rank"]) - 1]["score"], rel=1e-5)
    assert "Kendall tau with test accuracy over 3 networks" in done.stdout
