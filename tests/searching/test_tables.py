"""Searches beside, and on, a table of known accuracies."""

import csv
import json
import random

import pytest

from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.benchmarks.known_space import open_for
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.spaces import get_space
from naswot_lightning.spaces.nasbench201 import NASBench201
from tests.searching.runs import QUICK, SPACE, rows_of


class Own(NASBench201):
    """The same architectures, networks of the user's own."""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Made-up accuracies of 60 cells, which grow with their parameters."""
    path = tmp_path_factory.mktemp("table") / "own.csv"
    rng = random.Random(1)
    cells = list(dict.fromkeys(SPACE.sample(rng) for _ in range(60)))
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "dataset", "split", "epochs", "accuracy", "seconds"])
        for cell in cells:
            accuracy = 50 + 20 * SPACE.complexity(cell).params / 1e6 + rng.random()
            writer.writerow([cell, "cifar10-valid", "x-valid", 12, f"{accuracy:.3f}", 100])
            writer.writerow([cell, "cifar10", "ori-test", 200, f"{accuracy + 5:.3f}", 1000])
    return path


def known(path, split):
    with open(path) as file:
        return {row["architecture"]: float(row["accuracy"]) for row in csv.DictReader(file) if row["split"] == split}


def searched(folder, table, **options):
    config = {**QUICK, "benchmark": str(table), "benchmark_dataset": "cifar10", **options}
    assert run_search(SearchConfig(run_dir=str(folder), **config)) == 0
    return json.loads((folder / "ranking.json").read_text())


def test_the_ranking_shows_what_is_known_and_says_what_it_says_of_the_score(tmp_path, table, capsys):
    ranking = searched(tmp_path / "run", table, architectures=str(table), score="naswot,params")
    accuracies = known(table, "ori-test")
    assert [row["benchmark_acc"] for row in ranking] == [
        pytest.approx(accuracies[row["architecture"]] / 100) for row in ranking
    ]
    evidence = json.loads((tmp_path / "run" / "benchmark_evidence.json").read_text())
    both = [(row["score"], row["benchmark_acc"]) for row in ranking if row["score"] is not None]
    tau = evidence["correlations"]["score_init"]["kendall_tau"]
    assert tau["value"] == pytest.approx(kendall_tau(*zip(*both, strict=True)))
    assert tau["low"] < tau["value"] < tau["high"]
    assert evidence["best"] == pytest.approx(max(accuracies.values()) / 100)
    assert (tmp_path / "run" / "figures" / "figure3.png").stat().st_size > 10_000
    assert evidence["choices"]["at random"]["top_found"]["value"] == pytest.approx(0.05)
    said = capsys.readouterr().out
    assert "below the best of the candidates" in said
    assert "params ranks these" in said
    assert said.rstrip().count("What a pick is worth") == 1


def test_candidates_that_the_table_does_not_know_are_blank_and_the_order_is_the_same(tmp_path, table):
    beside = searched(tmp_path / "beside", table)
    assert all(row["benchmark_acc"] is None for row in beside)
    assert run_search(SearchConfig(run_dir=str(tmp_path / "alone"), **QUICK)) == 0
    alone = json.loads((tmp_path / "alone" / "ranking.json").read_text())
    assert [{**row, "benchmark_acc": None} for row in alone] == beside


def test_a_search_on_the_table_is_paid_in_its_seconds(tmp_path, table):
    accuracies = known(table, "x-valid")
    for algorithm in ("random", "rea:population=4", "reinforce", "bohb:rungs=1"):
        ranking = searched(tmp_path / algorithm, table, evaluator="table", algorithm=algorithm, samples=20)
        assert all(row["score"] == pytest.approx(accuracies[row["architecture"]] / 100) for row in ranking)
        assert {row["seconds"] for row in rows_of(tmp_path / algorithm)} == {100.0}
        assert all(row["params"] == SPACE.complexity(row["architecture"]).params for row in ranking)
    searched(tmp_path / "run", table, evaluator="table", samples=40, budget=750)
    # The one that crosses the budget is the last.
    assert len(rows_of(tmp_path / "run")) == 8


def test_area_scores_real_networks_and_looks_their_children_up(tmp_path, table):
    searched(tmp_path / "run", table, evaluator="table", algorithm="area:start=6,population=3", samples=5)
    rows = rows_of(tmp_path / "run")
    assert [row.get("fidelity") for row in rows[:6]] == [0.0] * 6
    assert all(row["scores"]["val_acc"] is not None for row in rows[6:])


def test_what_does_not_fit_is_one_line(tmp_path, table):
    for number, (options, message) in enumerate((
        ({"benchmark_dataset": "digits"}, "has accuracies on cifar10"),
        ({"evaluator": "table", "epochs": 33}, "--epochs 33: .* has trainings of 12, 200 epochs"),
        ({"evaluator": "table", "algorithm": "bohb"}, "has no accuracy after 1 of 12 epochs"),
        ({"space": "nats_size"}, "the table is for nasbench201, not for --space nats_size"),
        ({"benchmark": "nowhere.npz"}, "nowhere.npz"),
    )):  # fmt: skip
        with pytest.raises(UserError, match=message):
            searched(tmp_path / str(number), table, **options)
    own = tmp_path / "own.csv"
    own.write_text(table.read_text())
    searched(tmp_path / "run", own, evaluator="table", samples=4)
    own.write_text(table.read_text().replace("100", "101"))
    with pytest.raises(UserError, match="the data has changed"):
        searched(tmp_path / "run", own, evaluator="table", samples=4)


def test_a_variant_of_a_space_and_an_own_one_take_a_table_of_its_architectures(tmp_path):
    cells, edges = tmp_path / "cells.csv", tmp_path / "edges.csv"
    cells.write_text('architecture,accuracy\n"conv3x3~0+output~1",90\n')
    edges.write_text(f"architecture,accuracy\n{SPACE.sample(random.Random(0))},90\n")
    assert open_for(get_space("nasbench101_16"), str(cells), "--benchmark").space == "nasbench101"
    own = get_space("tests.searching.test_tables.Own")
    assert len(open_for(own, str(edges), "--benchmark").architectures) == 1
    for space, path in ((own, cells), (get_space("nasbench101_16"), edges), (get_space("nds_resnet"), edges)):
        with pytest.raises(UserError, match=r"the table is for nasbench.01, not for --space"):
            open_for(space, str(path), "--benchmark")
