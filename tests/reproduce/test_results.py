"""Tables, figures and curves of small benchmarks with invented accuracies: one folder of scores serves all."""

import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.diagnostics.measure import select_by_percentile
from naswot_lightning.report import figures
from naswot_lightning.reproduce.benchmark_tables import best_of_all_trainings
from naswot_lightning.reproduce.paper_tables import draw_samples
from tests.reproduce.tables import SIZE_COLUMNS, accuracy, architectures, run, write_table
from tests.runs import read_csv as rows_of

RUNS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Table 2 (a) of twenty architectures with seconds: its files, and the scores that further commands use."""
    folder = tmp_path_factory.mktemp("results")
    write_table(folder / "timed.csv", seconds=100)
    write_table(folder / "plain.csv")
    assert run("table2", folder / "timed.csv", folder / "out", "--runs", RUNS, "--searches", 3, "--budget", 1000) == 0
    return folder


@pytest.fixture(scope="module")
def table2(folder):
    return {(row["row"], row["column"]): row for row in rows_of(folder / "out" / "table2a.csv")}


def scored(folder):
    lines = (folder / "out" / "scores-nasbench201-digits-naswot" / "scores.jsonl").read_text().splitlines()
    rows = {row["architecture"]: row for row in map(json.loads, lines)}
    return [rows[each] for each in architectures(20)]


@pytest.fixture
def unsaved(monkeypatch):
    """Figures are not written: that takes longer than all else."""
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: None)


def is_picture(path):
    return path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 5_000


def test_picks_by_score_by_size_at_random_and_the_best_are_those_counted_by_hand(folder, table2):
    rows = scored(folder)
    scores = [-np.inf if row["score"] is None else row["score"] for row in rows]
    for samples in (10, 100, 1000):
        drawn = draw_samples(20, samples, RUNS, seed=0)
        picked = [max(sorted(set(run), key=list(run).index), key=lambda each: scores[each]) for run in drawn.tolist()]
        for label, shift in (("C10 val", 0), ("C100 test", -20)):
            row, values = table2[f"NASWOT, N = {samples}", label], [accuracy(each, shift) for each in picked]
            assert float(row["mean"]) == pytest.approx(np.mean(values), abs=1e-4)
            assert float(row["std"]) == pytest.approx(np.std(values, ddof=1), abs=1e-4)
            assert int(row["runs"]) == RUNS
            seconds = np.mean([sum(rows[each]["seconds"] for each in run) for run in drawn])
            assert float(row["seconds"]) >= 0.99 * seconds  # equal networks count each time
    drawn, params = draw_samples(20, 10, RUNS, seed=0).tolist(), [row["params"] for row in rows]
    expected = {
        "Optimal, N = 10": [max(accuracy(each, 2) for each in run) for run in drawn],
        "Random": [accuracy(each, 2) for each in draw_samples(20, 1, RUNS, seed=0)[:, 0]],
        "parameters, N = 10": [accuracy(max(run, key=lambda each: params[each]), 2) for run in drawn],
    }
    for label, values in expected.items():
        assert float(table2[label, "C10 test"]["mean"]) == pytest.approx(np.mean(values), abs=1e-4)


def test_published_numbers_stand_beside_ours_and_searches_end_by_the_seconds_of_the_table(folder, table2):
    assert is_picture(folder / "out" / "table2a.png")
    row, quoted = table2["NASWOT, N = 1000", "C10 test"], table2["GDAS", "C10 test"]
    assert (row["published_mean"], row["published_std"], row["published_seconds"]) == ("92.96", "0.81", "306.19")
    assert (quoted["published_mean"], quoted["mean"], quoted["runs"]) == ("93.51", "", "")
    assert "weights are shared" in quoted["note"]
    for label in ("REA", "RS", "REINFORCE", "BOHB", "AREA"):
        row = table2[label, "C10 val"]
        assert 1000 <= float(row["seconds"]) < 1000 + 103
        assert int(row["runs"]) == 3
        assert "cifar10-valid x-valid, 12 epochs" in row["note"]
        assert 40 <= float(row["mean"]) <= 97


def test_without_seconds_searches_are_left_out_or_end_by_evaluations(folder, unsaved, capsys):
    assert run("table2", folder / "plain.csv", folder / "out", "--runs", 5) == 0
    printed = capsys.readouterr().out
    assert "scored now" not in printed
    for words in ("C100 val (cifar100 x-valid)", "IN16 test (ImageNet16-120 x-test)", "plain has no seconds"):
        assert words in printed
    rows = {row["row"]: row for row in rows_of(folder / "out" / "table2a.csv") if row["column"] == "C10 val"}
    assert (rows["REA"]["mean"], rows["REA"]["note"][:8]) == ("", "left out")
    assert rows["NASWOT, N = 10"]["mean"]
    words = ("--runs", 2, "--searches", 2, "--evaluations", 12)
    assert run("table2", folder / "plain.csv", folder / "out", *words) == 0
    rows = {row["row"]: row for row in rows_of(folder / "out" / "table2a.csv") if row["column"] == "C10 val"}
    assert "12 evaluations" in rows["REA"]["note"]
    assert rows["REA"]["seconds"] == ""
    assert "whole trainings alone" in rows["BOHB"]["note"]


def test_the_size_space_is_searched_by_each_data_set_and_drawn_as_figure9(tmp_path, unsaved, capsys):
    table = write_table(tmp_path / "size.csv", 12, "nats_size", SIZE_COLUMNS, seconds=100, epochs=90)
    words = ("--runs", 3, "--searches", 2, "--budget", 600, "--scores", "naswot")
    assert run("table2", table, tmp_path / "out", *words) == 0
    rows = {(row["row"], row["column"]): row for row in rows_of(tmp_path / "out" / "table2b.csv")}
    assert "cifar100 x-valid, 12 epochs" in rows["REA", "C100 val"]["note"]
    assert rows["NASWOT, N = 10", "C100 val"]["mean"]
    assert "looks like cifar10-valid" in rows["NASWOT, N = 10", "C10 test"]["note"]
    assert not any(label.startswith("parameters") for label, _ in rows)
    assert run("figure9", table, tmp_path / "out", "--samples", 11) == 0
    assert [row["published_tau"] for row in rows_of(tmp_path / "out" / "figure9.csv")] == ["", ""]
    assert "none on record" in capsys.readouterr().out


CELLS = """architecture,dataset,split,epochs,seed,accuracy,seconds
conv3x3~0+output~1,cifar10,test,12,0,80,
conv3x3~0+output~1,cifar10,test,108,0,90,
conv3x3~0+output~1,cifar10,test,108,1,94,
conv3x3~0+output~1,cifar10,valid,108,0,91,700
conv1x1~0+output~1,cifar10,test,12,0,85,
conv1x1~0+output~1,cifar10,test,108,0,84,
conv1x1~0+output~1,cifar10,valid,108,0,83,600
"""


def test_cells_are_shown_by_the_best_of_all_recipes_and_repeats(tmp_path, unsaved, capsys):
    (tmp_path / "cells.csv").write_text(CELLS)
    assert best_of_all_trainings(open_benchmark(tmp_path / "cells.csv")).tolist() == [94, 85]
    words = ("--runs", 30, "--searches", 2, "--budget", 2000, "--samples", 2)
    assert run("table1", tmp_path / "cells.csv", tmp_path / "out", *words) == 0
    rows = {(row["row"], row["column"]): row for row in rows_of(tmp_path / "out" / "table1.csv")}
    assert float(rows["REA", "CIFAR-10 test"]["mean"]) == 94
    assert float(rows["REA", "mean of trainings"]["mean"]) == 92
    assert rows["NASWOT, N = 100", "CIFAR-10 test"]["published_mean"] == "91.77"
    assert "best test accuracy of each cell over all recipes" in capsys.readouterr().out
    assert (tmp_path / "out" / "scores-nasbench101_16-digits-naswot" / "scores.jsonl").exists()


def test_figure3_has_a_panel_for_each_data_set_with_scipys_taus(folder):
    assert run("figure3", folder / "plain.csv", folder / "out", "--samples", 11) == 0
    rows, points = (rows_of(folder / "out" / f"figure3{kind}.csv") for kind in ("", "_points"))
    assert [row["published_tau"] for row in rows] == ["0.574", "0.611"]
    for row in rows:
        own = [point for point in points if point["accuracy_of"] == row["accuracy"]]
        assert 8 <= len(own) == int(row["n"]) <= 11
        assert all(float(point["accuracy"]) > 15 for point in own)
        for name, tau in (("score", "tau"), ("params", "tau_params")):
            expected = kendalltau(*([float(point[each]) for point in own] for each in (name, "accuracy"))).statistic
            assert float(row[tau]) == pytest.approx(expected)
    assert is_picture(folder / "out" / "figure3.png")


def test_figure4_has_a_bar_for_each_score_and_data_set(folder):
    words = ("--samples", 6, "--scores", "naswot", "synflow", "params")
    assert run("figure4", folder / "plain.csv", folder / "out", *words) == 0
    rows = rows_of(folder / "out" / "figure4.csv")
    assert [row["score"] for row in rows] == ["naswot", "synflow", "params"] * 2
    assert all(int(row["n"]) == 6 and -1 <= float(row["tau"]) <= 1 for row in rows)
    assert is_picture(folder / "out" / "figure4.png")


def test_curves_of_several_algorithms_over_evaluations_and_seconds(folder, capsys):
    words = ("--algorithms", "random", "rea", "area:start=10,population=5", "--searches", 3, "--evaluations", 8)
    for name, efforts in (("plain", {"evaluations"}), ("timed", {"evaluations", "seconds"})):
        assert run("algorithms", folder / f"{name}.csv", folder / "out", *words) == 0
        rows = rows_of(folder / "out" / "algorithms.csv")
        assert {row["algorithm"] for row in rows} == {"random", "rea", "area:start=10,population=5"}
        assert {row["effort"] for row in rows} == efforts
        assert all(float(row["p10"]) <= float(row["mean"]) <= float(row["p90"]) for row in rows)
        assert is_picture(folder / "out" / "algorithms.png")
        assert "cifar10-valid x-valid, 12 epochs" in capsys.readouterr().out


def test_one_network_of_each_five_percent_is_selected():
    accuracies = np.append(np.random.default_rng(0).permutation(200.0 * np.arange(1, 201) / 400), np.nan)
    names = [f"n{number}" for number in range(201)]
    chosen = select_by_percentile(names, accuracies, seed=0)
    assert [each.percentile for each in chosen] == list(range(50, 100, 5))
    for each in chosen:
        assert accuracies[names.index(each.architecture)] == each.accuracy
        share = (accuracies < each.accuracy).mean()
        assert each.percentile / 100 - 0.01 <= share <= each.percentile / 100 + 0.06
