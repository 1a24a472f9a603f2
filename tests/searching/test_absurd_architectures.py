"""Architectures that no machine could build do not end a search: each is a row that failed, and says why."""

import json
import random

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.ranking import read_ranking
from tests.commands.ends import refused
from tests.searching.runs import QUICK, rows_of

GOOD = ["ds=1;ws=8;ss=2", "ds=1,1;ws=8,16;ss=2,2", "ds=2;ws=16;ss=2"]
ABSURD = {
    "ds=1;ws=999999999999;ss=1": "a width of 999999999999, expected at most 4,096 channels",
    f"ds={'9' * 5_000};ws=16;ss=1": "expected at most 200 blocks in all",
    "ds=200;ws=4096;ss=1": "about 60.2 billion parameters, expected at most 1 billion",
}


def searched(tmp_path):
    run, lines = tmp_path / "run", [*GOOD, *ABSURD]
    random.Random(0).shuffle(lines)
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    given = {**QUICK, "space": "nds_resnet", "architectures": str(tmp_path / "list.txt"), "canonical": False}
    assert run_search(SearchConfig(run_dir=str(run), **given)) == 0
    return run


def test_list_with_absurd_architectures_is_scored_and_they_fail_with_their_reason(tmp_path, capsys):
    run = searched(tmp_path)
    rows = {row["architecture"]: row for row in rows_of(run)}
    assert set(rows) == {*GOOD, *ABSURD}
    assert all(rows[architecture]["status"] == "ok" for architecture in GOOD)
    for architecture, reason in ABSURD.items():
        row = rows[architecture]
        assert reason in row["reason"]
        assert "\n" not in row["reason"]
        assert (row["status"], row["canonical"]) == ("failed", architecture)
        assert [row[field] for field in ("score", "n_units", "params", "macs")] == [None] * 4
    assert read_ranking(run)["status"].tolist() == ["ok"] * 3 + ["failed"] * len(ABSURD)
    # It is continued like any run.
    whole = (run / "scores.jsonl").read_text().splitlines()
    (run / "scores.jsonl").write_text("\n".join(whole[:4]) + "\n")
    searched(tmp_path)
    again = [{**row, "seconds": None} for row in rows_of(run)]
    assert again == [{**json.loads(line), "seconds": None} for line in whole]
    # A training of one, and a space of them, are refused in one line.
    absurd, reason = next(iter(ABSURD.items()))
    words = ("--space", "nds_resnet", "--architecture", absurd, "--dataset", "digits", "--run_dir", tmp_path / "pick")
    assert reason in refused(capsys, "train.py", *words)
    words = ("--space", "nds_darts:depth=99999999", "--run_dir", tmp_path / "other")
    assert "depth 99999999: expected at most 200" in refused(capsys, "search.py", *words)
