"""Architectures that no machine could build do not end a search: each is a row that failed, and says why."""

import json
import random

import pytest
from torch import nn

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import read_ranking
from naswot_lightning.spaces import Space
from tests.commands.ends import refused
from tests.searching.runs import QUICK, rows_of
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


def listed(tmp_path, architectures):
    file = tmp_path / "list.txt"
    file.write_text("\n".join(architectures) + "\n")
    return str(file)


def searched(tmp_path, name, **options):
    run, lines = tmp_path / "run", [*GOOD[name], *ABSURD[name]]
    random.Random(0).shuffle(lines)
    given = {**QUICK, "space": name, "architectures": listed(tmp_path, lines), "canonical": name == "nds_darts"}
    assert run_search(SearchConfig(run_dir=str(run), **given, **options)) == 0
    return run


@pytest.mark.parametrize("name", GOOD)
def test_list_with_absurd_architectures_is_scored_and_they_fail_with_their_reason(tmp_path, capsys, name):
    run = searched(tmp_path, name)
    rows = {row["architecture"]: row for row in rows_of(run)}
    assert set(rows) == {*GOOD[name], *ABSURD[name]}
    assert all(rows[architecture]["status"] == "ok" for architecture in GOOD[name])
    for architecture, reason in ABSURD[name].items():
        row = rows[architecture]
        assert reason in row["reason"]
        assert "\n" not in row["reason"]
        assert (row["status"], row["canonical"]) == ("failed", architecture)
        assert [row[field] for field in ("score", "n_units", "params", "macs")] == [None] * 4
    assert read_ranking(run)["status"].tolist() == ["ok"] * 3 + ["failed"] * len(ABSURD[name])
    # It is continued like any run.
    whole = (run / "scores.jsonl").read_text().splitlines()
    (run / "scores.jsonl").write_text("\n".join(whole[:4]) + "\n")
    searched(tmp_path, name)
    again = [{**row, "seconds": None} for row in rows_of(run)]
    assert again == [{**json.loads(line), "seconds": None} for line in whole]
    # A training of one, and a space of them, are refused in one line.
    absurd, reason = next(iter(ABSURD[name].items()))
    words = ("--space", name, "--architecture", absurd, "--dataset", "digits", "--run_dir", tmp_path / "pick")
    assert reason in refused(capsys, "train.py", *words)
    words = ("--space", "nds_darts:depth=99999999", "--run_dir", tmp_path / "other")
    assert "depth 99999999: expected at most 200" in refused(capsys, "search.py", *words)


def test_absurd_architectures_are_last_by_several_scores_and_refused_by_limits(tmp_path):
    run = searched(tmp_path, "nds_resnet", score="naswot+params")
    assert set(read_ranking(run)["architecture"][:3]) == set(GOOD["nds_resnet"])
    run = searched(tmp_path, "nds_resnet", max_params=10**9, overwrite=True)
    assert {row["architecture"] for row in rows_of(run)} == set(GOOD["nds_resnet"])
    # What is not of the space still ends a search, with its line.
    file = listed(tmp_path, ["ds=1;ws=8;ss=2", "ds=1;ws=8;ss=5"])
    with pytest.raises(UserError, match="line 2: architecture 'ds=1;ws=8;ss=5', stage 1: '5' in the list 'ss' must be"):
        run_search(SearchConfig(space="nds_resnet", architectures=file, run_dir=str(tmp_path / "run"), **QUICK))


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
    monkeypatch.setattr("naswot_lightning.searching.plan.get_space", lambda name: Fragile())
    given = {"space": "fragile", "architectures": listed(tmp_path, "abc"), "workers": 1}
    assert run_search(SearchConfig(run_dir=str(tmp_path / "run"), **given, **QUICK)) == 0
    rows = {row["architecture"]: row for row in rows_of(tmp_path / "run")}
    assert {name: row["status"] for name, row in rows.items()} == {"a": "ok", "b": "failed", "c": "ok"}
    assert "no canonical form of b" in rows["b"]["reason"]
