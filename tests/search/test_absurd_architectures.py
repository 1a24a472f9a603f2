"""Architectures that no machine could build do not end a search: each is a row that failed, and says why."""

import json
import random

import pytest
from torch import nn

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import read_ranking
from naswot_lightning.search.algorithms.base import Limits
from spaces import Complexity, Space
from spaces.errors import TooLargeError
from tests.commands.ends import refused
from tests.search.runs import QUICK, rows_of
from tests.spaces.nds.architectures import GENOTYPES

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


def searched(tmp_path, name, **options):
    lines, run = shuffled(name), tmp_path / "run"
    config = SearchConfig(
        **{**QUICK, "space": name, "architectures": listed(tmp_path, lines), **options}, run_dir=str(run)
    )
    assert run_search(config) == 0
    return run, lines


@each_space
def test_list_with_absurd_architectures_is_scored_and_they_fail_with_their_reason(tmp_path, name):
    run, lines = searched(tmp_path, name, canonical=name == "nds_darts")
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
    # It is continued like any run.
    whole = (run / "scores.jsonl").read_text().splitlines()
    (run / "scores.jsonl").write_text("\n".join(whole[:4]) + "\n")
    searched(tmp_path, name, canonical=name == "nds_darts")
    again = [{**row, "seconds": None} for row in rows_of(run)]
    assert again == [{**json.loads(line), "seconds": None} for line in whole]


def test_absurd_architectures_are_last_by_several_scores_and_refused_by_limits(tmp_path):
    run, _ = searched(tmp_path, "nds_resnet", score="naswot+params")
    assert set(read_ranking(run)["architecture"][:3]) == set(GOOD["nds_resnet"])
    run, _ = searched(tmp_path, "nds_resnet", max_params=10**9, overwrite=True)
    assert {row["architecture"] for row in rows_of(run)} == set(GOOD["nds_resnet"])


def test_what_is_not_of_the_space_still_ends_it_with_its_line(tmp_path):
    file = listed(tmp_path, ["ds=1;ws=8;ss=2", "ds=1;ws=8;ss=5"])
    with pytest.raises(UserError, match="line 2: architecture 'ds=1;ws=8;ss=5', stage 1: '5' in the list 'ss' must be"):
        run_search(SearchConfig(space="nds_resnet", architectures=file, run_dir=str(tmp_path / "run"), **QUICK))


@each_space
def test_commands_say_of_an_absurd_architecture_in_one_line_why(tmp_path, name, capsys):
    absurd = next(iter(ABSURD[name]))
    words = ("--space", name, "--architecture", absurd, "--dataset", "digits", "--run_dir", tmp_path / "run")
    assert ABSURD[name][absurd] in refused(capsys, "train.py", *words)
    words = ("--space", "nds_darts:depth=99999999", "--run_dir", tmp_path / "other")
    assert "depth 99999999: expected at most 200" in refused(capsys, "search.py", *words)


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
        head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes)
        return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.ReLU(), *head)


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
