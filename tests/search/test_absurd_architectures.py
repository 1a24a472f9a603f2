"""Architectures that no machine could build do not end a search: each is a row that failed, and says why."""

import json
import random

import pytest
from torch import nn

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import read_ranking
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.search.algorithms.base import Limits
from spaces import Complexity, Space, get_space
from spaces.errors import TooLargeError
from spaces.nds.cells import GENOTYPES
from tests.search.runs import QUICK, rows_of

DARTS = GENOTYPES["DARTS_V2"]
GOOD = {
    "nds_resnet": ["ds=1;ws=8;ss=2", "ds=1,1;ws=8,16;ss=2,2", "ds=2;ws=16;ss=2"],
    "nds_darts": [f"{head}|{DARTS}" for head in ("C2-L1", "C2-L2", "C4-L1")],
}
ABSURD = {
    "nds_resnet": {
        "ds=1;ws=999999999999;ss=1": "a width of 999999999999, expected at most 4,096 channels",
        "ds=99999999;ws=16;ss=1": "a depth of 99999999, expected at most 200 blocks in all",
        f"ds={'9' * 5_000};ws=16;ss=1": "expected at most 200 blocks in all",
        "ds=200;ws=4096;ss=1": "about 60.2 billion parameters, expected at most 1 billion",
    },
    "nds_darts": {
        f"C16-L99999999|{DARTS}": "a depth of 99999999, expected at most 200 cells",
        f"C{'9' * 5_000}-L8|{DARTS}": "expected at most 512 channels",
        f"C512-L200|{DARTS}": "billion parameters, expected at most 1 billion",
    },
}
each_space = pytest.mark.parametrize("name", GOOD)


def listed(tmp_path, architectures):
    file = tmp_path / "list.txt"
    file.write_text("\n".join(architectures) + "\n")
    return str(file)


def shuffled(name):
    lines = [*GOOD[name], *ABSURD[name]]
    random.Random(0).shuffle(lines)
    return lines


@each_space
@pytest.mark.parametrize("canonical", [True, False])
def test_the_rest_of_a_list_is_scored(tmp_path, name, canonical):
    lines, run = shuffled(name), tmp_path / "run"
    config = SearchConfig(
        space=name, architectures=listed(tmp_path, lines), run_dir=str(run), canonical=canonical, **QUICK
    )
    assert run_search(config) == 0
    rows = {row["architecture"]: row for row in rows_of(run)}
    assert set(rows) == set(lines)
    assert all(rows[architecture]["status"] == "ok" for architecture in GOOD[name])
    for architecture, reason in ABSURD[name].items():
        row = rows[architecture]
        assert row["status"] == "failed"
        assert reason in row["reason"]
        assert "\n" not in row["reason"]
        assert row["canonical"] == architecture
        assert [row[field] for field in ("score", "n_units", "params", "macs")] == [None] * 4
    assert read_ranking(run)["status"].tolist() == ["ok"] * 3 + ["failed"] * len(ABSURD[name])


@each_space
def test_a_run_that_holds_such_rows_is_continued(tmp_path, name):
    lines, run = shuffled(name), tmp_path / "run"
    config = SearchConfig(space=name, architectures=listed(tmp_path, lines), run_dir=str(run), **QUICK)
    run_search(config)
    whole = (run / "scores.jsonl").read_text().splitlines()
    (run / "scores.jsonl").write_text("\n".join(whole[:4]) + "\n")
    assert run_search(config) == 0
    again = (run / "scores.jsonl").read_text().splitlines()

    def without_seconds(line):
        return {**json.loads(line), "seconds": None}

    assert list(map(without_seconds, again)) == list(map(without_seconds, whole))


def test_joint_scores_place_them_last(tmp_path):
    lines, run = shuffled("nds_resnet"), tmp_path / "run"
    run_search(
        SearchConfig(
            space="nds_resnet", architectures=listed(tmp_path, lines), run_dir=str(run), score="naswot+params", **QUICK
        )
    )
    assert set(read_ranking(run)["architecture"][:3]) == set(GOOD["nds_resnet"])


def test_a_budget_refuses_them(tmp_path):
    lines, run = shuffled("nds_resnet"), tmp_path / "run"
    config = SearchConfig(
        space="nds_resnet", architectures=listed(tmp_path, lines), run_dir=str(run), max_params=10**9, **QUICK
    )
    assert run_search(config) == 0
    assert {row["architecture"] for row in rows_of(run)} == set(GOOD["nds_resnet"])


def test_what_is_not_of_the_space_still_ends_it_with_its_line(tmp_path):
    file = listed(tmp_path, ["ds=1;ws=8;ss=2", "ds=1;ws=8;ss=5"])
    with pytest.raises(UserError, match="line 2: architecture 'ds=1;ws=8;ss=5', stage 1: '5' in the list 'ss' must be"):
        run_search(SearchConfig(space="nds_resnet", architectures=file, run_dir=str(tmp_path / "run"), **QUICK))


@each_space
def test_the_commands_say_it_in_one_line(tmp_path, name, search, train):
    absurd = next(iter(ABSURD[name]))
    ended = train("--space", name, "--architecture", absurd, "--dataset", "digits", "--run_dir", tmp_path / "run")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ABSURD[name][absurd] in ended.stderr
    ended = search("--space", "nds_darts:depth=99999999", "--run_dir", tmp_path / "other")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "depth 99999999: expected at most 200" in ended.stderr


@each_space
def test_the_evaluator_gives_a_failed_row(name):
    evaluator = ScoreEvaluator(get_space(name), [load_probe("digits", "", 8, 0)], ("naswot", "params"))
    for architecture, reason in ABSURD[name].items():
        values = evaluator(architecture)
        assert values.status == "failed"
        assert values.reason.startswith("TooLargeError: architecture '")
        assert reason in values.reason
        assert values.scores == {"naswot": None, "params": None}
        assert (values.n_units, values.params, values.macs) == (None, None, None)
    assert evaluator(GOOD[name][0]).status == "ok"


def test_limits_refuse_what_is_too_large_and_leave_other_faults_to_the_row():
    def size(architecture):
        if architecture in faults:
            raise faults[architecture]
        return Complexity(len(architecture), 0)

    faults = {"a": TooLargeError("a"), "b": RuntimeError("b"), "c": UserError("no such data"), "d": OSError("disk")}
    limits = Limits(3, None, size)
    assert [limits.accepts(architecture) for architecture in ("xyz", "wxyz", "a", "b")] == [True, False, False, True]
    assert (limits.n_seen, limits.n_rejected) == (4, 2)
    for architecture in ("c", "d"):
        with pytest.raises(type(faults[architecture])):
            limits.accepts(architecture)
    assert all(Limits(None, None, size).accepts(architecture) for architecture in faults)


class Fragile(Space):
    """A space whose canonical form cannot be had of one architecture."""

    name = "fragile"

    def sample(self, rng):
        return rng.choice("abc")

    def mutate(self, architecture, rng):
        return self.sample(rng)

    def canonical(self, architecture):
        if architecture == "b":
            raise KeyError("no canonical form of b")
        return architecture

    def build(self, architecture, num_classes=10, in_channels=3):
        layers = [
            nn.Conv2d(in_channels, 4, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, num_classes),
        ]
        return nn.Sequential(*layers)


def test_a_space_that_fails_at_one_architecture_fails_there_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("naswot_lightning.search.plan.get_space", lambda name: Fragile())
    config = SearchConfig(
        space="fragile", architectures=listed(tmp_path, "abc"), run_dir=str(tmp_path / "run"), workers=1, **QUICK
    )
    assert run_search(config) == 0
    rows = {row["architecture"]: row for row in rows_of(tmp_path / "run")}
    assert rows["b"]["status"] == "failed"
    assert "no canonical form of b" in rows["b"]["reason"]
    assert {rows[name]["status"] for name in "ac"} == {"ok"}
