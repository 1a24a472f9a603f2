"""Budgets of what a network costs, and latencies of a table."""

import random

import pandas as pd
import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import read_ranking
from naswot_lightning.report.run import read_run
from naswot_lightning.searching.algorithms.base import Limits
from naswot_lightning.storage.run_folder import RunFolder
from tests.searching.runs import QUICK, SPACE, files_of

DRAWN = [SPACE.sample(random.Random(number)) for number in range(60)]
FULL = SPACE[1462]


def write_latencies(path, known=DRAWN[:30], scale=1.0, column="latency_ms"):
    """Write a latency that grows with the 3x3 convolutions; of 15 others that they do not run."""
    latencies = dict.fromkeys(DRAWN[30:45], -1.0)
    latencies |= {each: scale * (1 + each.count("conv_3x3")) for each in known}
    pd.DataFrame({"architecture": latencies.keys(), column: latencies.values()}).to_csv(path, index=False)


@pytest.fixture
def search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("\n".join(DRAWN))
    write_latencies(tmp_path / "latencies.csv")

    def run(folder="run", **options):
        run_search(SearchConfig(**{**QUICK, "run_dir": str(tmp_path / folder), **options}))
        return read_ranking(tmp_path / folder)

    return run


def test_a_table_gives_latencies_and_what_it_does_not_know_is_refused(search, capsys):
    ranking = search(architectures="list.txt", latency_table="latencies.csv", max_latency_ms=2)
    known = dict.fromkeys(each for each in DRAWN[:30] if each.count("conv_3x3") <= 1)
    assert set(ranking["architecture"]) == set(known)
    assert ranking["latency_ms"].tolist() == [1 + each.count("conv_3x3") for each in ranking["architecture"]]
    out = capsys.readouterr().out
    assert "--max_latency_ms 2: " in out
    assert f"{len(set(DRAWN)) - len(set(DRAWN[:30]))} without latency_ms" in out
    assert "latency (ms)" in out


def test_every_budget_holds_for_algorithms_that_learn(search):
    write_latencies("all.csv", list(SPACE), column="pixel3_ms")
    for number, table in enumerate(("all.csv", "all.csv:pixel3_ms")):
        options = {"latency_table": table, "max_latency_ms": 3, "max_model_mb": 2}
        ranking = search(f"run{number}", algorithm="rea:population=4", samples=8, **options)
        assert (ranking["latency_ms"] <= 3).all()
        assert (ranking["model_mb"] <= 2).all()
    # Parameters and buffers.
    state = SPACE.build(ranking["canonical"][0], 10).state_dict()
    assert ranking["model_mb"][0] == sum(each.nbytes for each in state.values()) / 1e6


def test_a_table_that_has_changed_gives_what_a_new_search_does(search, tmp_path):
    options = {"latency_table": "latencies.csv", "max_latency_ms": 3, "samples": 5}
    search(**options)
    write_latencies("latencies.csv", scale=1.5)
    search(**options)
    search("new", **options)
    assert files_of(tmp_path / "run") == files_of(tmp_path / "new")


def test_budgets_that_nothing_meets_and_objectives_that_there_are_not_are_one_line(search, tmp_path):
    write_latencies("none_known.csv", known=[])
    (tmp_path / "units.csv").write_text(f"architecture,latency_us\n{FULL},1500\n")
    (tmp_path / "two.csv").write_text(f"architecture,a_ms,b_ms\n{FULL},1,2\n")
    for options, message in (
        ({"objectives": "naswot,latency_ms"}, "unknown column of --objectives 'latency_ms', expected one of naswot,"),
        ({"select": "pareto"}, "--select pareto: a Pareto front needs several objectives; name them with --objectives"),
        (
            {"max_latency_ms": 5},
            "--max_latency_ms 5: the latency of candidates is not known; give --latency_table FILE",
        ),
        ({"latency_table": "none.csv"}, "none.csv: no such file"),
        ({"latency_table": "latencies.csv:watts"}, "unknown column of latencies 'watts', expected one of"),
        ({"latency_table": "units.csv", "max_latency_ms": 5}, "has no column latency_ms, only latency_us; name one"),
        (
            {"latency_table": "two.csv"},
            "two.csv: has no column latency_ms, only a_ms, b_ms; name one, such as two.csv:a_ms",
        ),
        (
            {"latency_table": "latencies.csv", "space": "nats_size"},
            "the table is for nasbench201, not for --space nats_size",
        ),
        (
            {"latency_table": "latencies.csv", "max_latency_ms": 0.5},
            r"smallest seen: latency_ms 1\.00; raise",
        ),
        ({"max_memory_mb": 0}, "--max_memory_mb 0: expected more than 0"),
        (
            {"latency_table": "two.csv", "objectives": "naswot,a_mj"},
            "unknown column of --objectives 'a_mj', .*; did you mean 'a_ms'?",
        ),
        (
            {"latency_table": "two.csv", "objectives": "naswot,a_ms", "max_latency_ms": 1},
            "has no column latency_ms, only a_ms, b_ms; name one",
        ),
        ({"max_model_mb": 0.1}, r"smallest seen: model_mb 0\.\d+; raise the limits"),
        (
            {"latency_table": "none_known.csv", "algorithm": "rea"},
            r"1,000 of 1,000 candidates .* 1,000 without latency_ms$",
        ),
    ):
        with pytest.raises(UserError, match=message):
            search("none", **{"architectures": None if "algorithm" in options else "list.txt", **options})
    assert not (tmp_path / "none").exists()


def test_objectives_rank_by_fronts_and_others_can_be_asked_for(search, tmp_path, capsys):
    options = {"architectures": "list.txt", "latency_table": "latencies.csv"}
    ranking = search(objectives="naswot,latency_ms", **options)
    points = list(zip(-ranking["score"], ranking["latency_ms"], ranking["status"] == "ok", strict=True))
    for (score, latency, ok), front in zip(points, ranking["pareto_rank"], strict=True):
        beaten = any(a <= score and b <= latency and (a, b) != (score, latency) for a, b, good in points if good)
        assert pd.isna(front) if not ok else (front == 1) == (not beaten)
    out = capsys.readouterr().out
    assert "Pareto front of naswot (high), latency_ms (low): " in out
    assert (tmp_path / "run" / "figures" / "pareto.png").exists()
    scored = (tmp_path / "run" / "scores.jsonl").read_bytes()
    again = search(objectives="latency_ms:max,params,model_mb", **options)
    assert (tmp_path / "run" / "scores.jsonl").read_bytes() == scored
    assert again["model_mb"].notna().any()
    assert again["pareto_rank"].tolist() != ranking["pareto_rank"].tolist()
    assert "objectives: latency_ms:max,params:min,model_mb:min" in (tmp_path / "run" / "config.yaml").read_text()
    assert "pareto_rank" not in search(**options)


def test_objectives_are_columns_of_tables_too(search, tmp_path, capsys):
    every = pd.DataFrame({"architecture": list(SPACE)})
    every["energy_mj"] = every["architecture"].str.count("conv_3x3").replace(0, -1)
    every.assign(robustness=-every["energy_mj"]).to_csv("energy.csv", index=False)
    few = [next(each for each in DRAWN if each.count("conv_3x3") == number) for number in range(4)]
    (tmp_path / "few.txt").write_text("\n".join(few))
    ranking = search(architectures="few.txt", latency_table="energy.csv", objectives="energy_mj,robustness:min")
    assert "1 candidate without energy_mj, not on any front" in capsys.readouterr().out
    assert set(read_run(RunFolder(tmp_path / "run")).costs) == {"energy_mj", "robustness"}
    assert "latency_ms" not in ranking
    # Those that need least energy are the most robust: all that are known are on the front.
    assert ranking.set_index("architecture")["pareto_rank"].reindex(few[1:]).tolist() == [1, 1, 1]
    learns = {"algorithm": "nsga2:population=2", "samples": 4, "objectives": "naswot,energy_mj"}
    assert (search("learns", latency_table="energy.csv", **learns)["energy_mj"] > 0).all()


def test_a_network_that_ends_the_process_where_it_is_counted_is_a_row():
    def ends(architecture):
        raise SystemExit(architecture)

    assert Limits({"params": 1.0}, {"params": ends}).accepts(FULL)
