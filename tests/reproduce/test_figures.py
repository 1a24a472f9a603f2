"""Figures 3, 4, 5 and 9 and the curves of algorithms, of small tables of invented accuracies."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from naswot_lightning.analysis.measurements import Sample, SelectedNetwork, relative_scores
from naswot_lightning.analysis.statistics import with_the_worst
from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.diagnostics.ablation import select_by_percentile
from naswot_lightning.reproduce.accuracies import every_data_set
from naswot_lightning.reproduce.images import images_of
from tests.reproduce.invented import SIZE_COLUMNS, accuracy, rows_of, run, write_table


def is_picture(path):
    return path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 5_000


@pytest.mark.parametrize(
    ("figure", "space", "columns", "published"),
    [("figure3", "nasbench201", {}, ["0.574", "0.611"]), ("figure9", "nats_size", SIZE_COLUMNS, ["", ""])],
)
def test_a_panel_for_each_data_set(tmp_path, capsys, figure, space, columns, published):
    table = write_table(tmp_path / "mine.csv", 14, space, **({"columns": columns} if columns else {}))
    assert run(figure, table, tmp_path / "out", "--samples", 11) == 0
    rows = rows_of(tmp_path / "out" / f"{figure}.csv")
    assert [row["published_tau"] for row in rows] == published
    points = rows_of(tmp_path / "out" / f"{figure}_points.csv")
    for row in rows:
        own = [point for point in points if point["accuracy_of"] == row["accuracy"]]
        assert 8 <= len(own) == int(row["n"]) <= 11
        assert all(float(point["accuracy"]) > 15 for point in own)
        for name, tau in (("score", "tau"), ("params", "tau_params")):
            expected = kendalltau(*([float(point[each]) for point in own] for each in (name, "accuracy"))).statistic
            assert float(row[tau]) == pytest.approx(expected)
    assert is_picture(tmp_path / "out" / f"{figure}.png")
    assert ("none on record" in capsys.readouterr().out) == (figure == "figure9")


def test_cells_of_one_width_and_depth(tmp_path, capsys):
    columns = {("cifar10", "test"): 0.0}
    for name in ("NDS PNAS_fix-w-d.csv", "NDS PNAS.csv"):
        write_table(tmp_path / name, 2, "nds_pnas:width=4,depth=3", columns, epochs=100)
    words = ("--space", "nds_pnas:width=4,depth=3", "--samples", 2)
    assert run("figure10", tmp_path / "NDS PNAS_fix-w-d.csv", tmp_path / "out", *words) == 0
    (row,) = rows_of(tmp_path / "out" / "figure10.csv")
    assert (row["n"], row["published_tau"], row["accuracy"]) == ("2", "", "cifar10 test, 100 epochs")
    assert run("figure10", tmp_path / "NDS PNAS.csv", tmp_path / "out", *words) == 2
    assert "expected one of fixed width and depth (fix-w-d)" in capsys.readouterr().err


def test_the_accuracy_of_cifar10_is_that_of_the_published_plot(tmp_path):
    known = every_data_set(open_benchmark(write_table(tmp_path / "mine.csv")))
    assert [each.label for each in known] == ["cifar10-valid ori-test, 200 epochs", "cifar100 x-test, 200 epochs"]
    assert known[0].values.tolist() == [accuracy(number, 1) for number in range(20)]


def test_bars_of_several_scores_and_no_score_is_the_worst(tmp_path):
    table = write_table(tmp_path / "mine.csv", 12, columns={("cifar10", "ori-test"): 0.0})
    words = ("--samples", 6, "--scores", "naswot", "synflow", "params")
    assert run("figure4", table, tmp_path / "out", *words) == 0
    rows = rows_of(tmp_path / "out" / "figure4.csv")
    assert [row["score"] for row in rows] == ["naswot", "synflow", "params"]
    assert all(int(row["n"]) == 6 and -1 <= float(row["tau"]) <= 1 for row in rows)
    assert is_picture(tmp_path / "out" / "figure4.png")
    worst = with_the_worst(np.array([np.nan, -5.0, 2.0, np.nan]))
    assert worst[0] == worst[3] < -5
    assert worst[1:3].tolist() == [-5, 2]


@pytest.mark.slow
def test_boxes_of_ten_networks_four_ways(tmp_path, capsys):
    table = write_table(tmp_path / "mine.csv", 60, "nats_size")  # which is quicker to score
    assert run("figure5", table, tmp_path / "out", "--samples", 2, "--batch_sizes", 4, 8) == 0
    rows = rows_of(tmp_path / "out" / "figure5.csv")
    networks = {row["architecture"] for row in rows}
    assert len({row["percentile"] for row in rows}) == 10
    assert len(rows) == 10 * 2 * (3 + 2)
    by_way = {}
    for row in rows:
        by_way.setdefault((row["ablation"], row["architecture"], row["batch_size"]), []).append(row["score"])
    for (ablation, architecture, _), scores in by_way.items():
        assert len(set(scores)) == len(scores), ablation  # what varies, varies
        assert by_way["mini-batches", architecture, "8"][0] == by_way["initializations", architecture, "8"][0]
        assert by_way["mini-batches", architecture, "8"] == by_way["mini-batch sizes", architecture, "8"]
    assert len(networks) <= 10
    assert is_picture(tmp_path / "out" / "figure5.png")
    assert "percentiles of cifar100 x-test" in capsys.readouterr().out


def test_one_network_of_each_five_percent():
    accuracies = np.append(np.random.default_rng(0).permutation(200.0 * np.arange(1, 201) / 400), np.nan)
    names = [f"n{number}" for number in range(201)]
    chosen = select_by_percentile(names, accuracies, seed=0)
    assert [each.percentile for each in chosen] == list(range(50, 100, 5))
    for each in chosen:
        assert accuracies[names.index(each.architecture)] == each.accuracy
        share = (accuracies < each.accuracy).mean()
        assert each.percentile / 100 - 0.01 <= share <= each.percentile / 100 + 0.06


def test_scores_are_divided_by_the_lowest_of_their_size():
    network = SelectedNetwork(50, "a", 90.0)
    scores = [(8, 10.0), (8, np.nan), (8, 20.0), (16, 40.0), (16, 30.0)]
    samples = [Sample("sizes", network, n, size, score) for n, (size, score) in enumerate(scores)]
    assert relative_scores(samples) == pytest.approx([1, np.nan, 2, 4 / 3, 1], nan_ok=True)


@pytest.mark.parametrize("seconds", [None, 100])
def test_curves_of_several_algorithms(tmp_path, capsys, seconds):
    table = write_table(tmp_path / "mine.csv", 10, seconds=seconds)
    words = ("--algorithms", "random", "rea", "area:start=10,population=5", "--searches", 3, "--evaluations", 8)
    assert run("algorithms", table, tmp_path / "out", *words) == 0
    rows = rows_of(tmp_path / "out" / "algorithms.csv")
    assert {row["algorithm"] for row in rows} == {"random", "rea", "area:start=10,population=5"}
    assert {row["effort"] for row in rows} == ({"evaluations", "seconds"} if seconds else {"evaluations"})
    assert all(float(row["p10"]) <= float(row["mean"]) <= float(row["p90"]) for row in rows)
    assert is_picture(tmp_path / "out" / "algorithms.png")
    assert "cifar10-valid x-valid, 12 epochs" in capsys.readouterr().out


def test_images_are_those_of_the_accuracies_where_there_are_any():
    assert images_of(["digits", "cifar10-valid"], "cifar10") == "cifar10-valid"
    assert images_of(["digits", "cifar10-valid"], "ImageNet16-120") == "digits"


def test_what_an_algorithm_asks_for_and_the_table_does_not_know_is_said_before_others_are_scored(tmp_path, capsys):
    table = write_table(tmp_path / "mine.csv", seconds=60)
    assert run("algorithms", table, tmp_path / "out", "--algorithms", "area", "bohb", "--searches", 2) == 2
    assert "knows no accuracy after 1 of 12 epochs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
