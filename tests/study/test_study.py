"""The command on invented runs: tables, files, and the figures against independent ones."""

import csv
import json
import math

import numpy as np
import pytest
from scipy import stats

from tests.runs import result, write_pick
from tests.study.invented import invented, run, write_accuracies, write_run


def by_score(path):
    with open(path, newline="") as file:
        return {(row["accuracy"], row["score"]): row for row in csv.DictReader(file)}


def column(rows, name):
    return [-math.inf if row["scores"][name] is None else row["scores"][name] for row in rows]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, accuracies = invented()
    write_run(tmp_path / "run", rows)
    write_accuracies(tmp_path / "table.csv", rows, accuracies)
    return tmp_path, rows, accuracies


def test_all_scores_sizes_and_aggregates_are_studied(place, capsys):
    folder, rows, accuracies = place
    assert run("--run_dir", "run", "--benchmark", "table.csv") == 0
    found = {score: row for (_, score), row in by_score(folder / "run/study/study.csv").items()}
    assert next(iter(found)) == "naswot"
    assert set(found) == {"naswot", "jacob_cov", "rectified_units", "params", "macs", "jacob_cov+params"}
    for name in ("naswot", "jacob_cov", "params"):
        assert float(found[name]["tau"]) == pytest.approx(stats.kendalltau(column(rows, name), accuracies).statistic)
    ranks = [stats.rankdata(column(rows, name)) for name in ("jacob_cov", "params")]
    joint = np.log(np.divide(ranks, len(rows))).mean(0)
    assert float(found["jacob_cov+params"]["tau"]) == pytest.approx(stats.kendalltau(joint, accuracies).statistic)
    assert (found["naswot"]["outcome"], found["params"]["outcome"]) == ("beats", "plain size")
    printed = capsys.readouterr().out
    assert "cifar10 test, 0 epochs (table), n = 40; plain size is parameters" in printed
    assert "Better than plain size (parameters), by an interval that excludes 0: naswot" in printed
    assert "40 architectures of nasbench201, drawn at random (seed 0)." in printed
    assert "How stable the scores are is not known of one run" in printed


def test_the_files_are_typed_and_a_picture(place):
    folder, _, _ = place
    assert run("--run_dir", "run", "--benchmark", "table.csv", "--out", "mine/here") == 0
    assert not (folder / "run/study").exists()
    found = json.loads((folder / "mine/here/study.json").read_text())
    assert found["method"]["interval"] == "percentile bootstrap over networks"
    first = found["panels"][0]["judged"][0]
    row = by_score(folder / "mine/here/study.csv")["cifar10 test, 0 epochs", first["score"]]
    for name, key in (("tau", "tau"), ("less_size", "less_size"), ("partial", "partial_tau")):
        ends = [float(row[f"{key}{end}"]) for end in ("", "_low", "_high")]
        assert [first[name][end] for end in ("value", "low", "high")] == ends
    assert (folder / "mine/here/study.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in (folder / "mine/here").iterdir()) == ["study.csv", "study.json", "study.png"]


def test_several_data_sets_are_several_panels_and_one_can_be_chosen(place, capsys):
    folder, rows, accuracies = place
    write_accuracies(folder / "both.csv", rows, accuracies, ("cifar10", "cifar100"))
    assert run("--run_dir", "run", "--benchmark", "both.csv") == 0
    found = by_score(folder / "run/study/study.csv")
    assert {accuracy for accuracy, _ in found} == {"cifar10 test, 0 epochs", "cifar100 test, 0 epochs"}
    assert run("--run_dir", "run", "--benchmark", "both.csv", "--benchmark_dataset", "cifar100") == 0
    assert {accuracy for accuracy, _ in by_score(folder / "run/study/study.csv")} == {"cifar100 test, 0 epochs"}


def test_chosen_scores_stand_beside_size(place):
    folder, _, _ = place
    words = ("--run_dir", "run", "--benchmark", "table.csv", "--score", "jacob_cov,naswot+params:mean_rank")
    assert run(*words) == 0
    found = {score for _, score in by_score(folder / "run/study/study.csv")}
    assert found == {"jacob_cov", "naswot+params:mean_rank", "params", "macs"}


def test_candidates_without_a_score_are_counted_and_last(place):
    folder, rows, accuracies = place
    for number in (3, 7):
        rows[number]["scores"]["jacob_cov"] = None
    failed = {"naswot": None, "jacob_cov": None, "params": None}
    rows[11].update(scores=failed, score=None, status="failed", params=None, macs=None, n_units=None)
    write_run(folder / "some", rows)
    assert run("--run_dir", "some", "--benchmark", "table.csv") == 0
    found = {score: row for (_, score), row in by_score(folder / "some/study/study.csv").items()}
    unscored = {"naswot": 1, "jacob_cov": 3, "params": 1, "macs": 1, "rectified_units": 1, "jacob_cov+params": 3}
    assert {score: int(row["unscored"]) for score, row in found.items()} == unscored
    expected = stats.kendalltau(column(rows, "jacob_cov"), accuracies).statistic
    assert float(found["jacob_cov"]["tau"]) == pytest.approx(expected)


def test_only_candidates_that_the_table_knows_are_points(place, capsys):
    folder, rows, accuracies = place
    write_accuracies(folder / "part.csv", rows[:25], accuracies[:25])
    assert run("--run_dir", "run", "--benchmark", "part.csv") == 0
    assert "n = 25; plain size" in capsys.readouterr().out
    found = {score: row for (_, score), row in by_score(folder / "run/study/study.csv").items()}
    ranks = [stats.rankdata(column(rows, name)) for name in ("jacob_cov", "params")]  # among all candidates
    joint = np.log(np.divide(ranks, len(rows))).mean(0)
    expected = stats.kendalltau(joint[:25], accuracies[:25]).statistic
    assert float(found["jacob_cov+params"]["tau"]) == pytest.approx(expected)


def test_trained_picks_are_the_accuracies_where_no_table_is_given(place, capsys):
    folder, rows, accuracies = place
    accuracies = np.array(accuracies) / 100
    for number in range(1, 9):
        architecture = rows[number]["architecture"]
        trained = {"architecture": architecture, "canonical": architecture, "best_val_acc": None}
        for seed in (0, 1):  # one point, their mean
            pick = result(number, **trained, test_acc=accuracies[number] + 0.01 * seed, seed=seed)
            write_pick(folder / "run", pick, name=f"{number}-abc-seed{seed}")
    write_pick(folder / "run", result(9, test_acc=0.1, architecture="elsewhere", canonical="elsewhere"))
    assert run("--run_dir", "run") == 0
    printed = capsys.readouterr().out
    assert "nasbench201 on digits, 3 epochs, seeds 0, 1 (trained picks), n = 8; plain size" in printed
    assert "The picks are the top 9 of a ranking" in printed
    found = {score: row for (_, score), row in by_score(folder / "run/study/study.csv").items()}
    expected = stats.kendalltau(column(rows, "naswot")[1:9], accuracies[1:9]).statistic
    assert float(found["naswot"]["tau"]) == pytest.approx(expected)


def test_candidates_of_one_trained_network_are_one_point(place):
    folder, rows, _ = place
    twins = [{**rows[0], "architecture": f"twin{number}", "canonical": rows[0]["canonical"]} for number in range(5)]
    write_run(folder / "twins", rows + twins)
    for number in range(6):
        names = {"architecture": rows[number]["architecture"], "canonical": rows[number]["canonical"]}
        write_pick(folder / "twins", result(number + 1, **names), name=f"{number + 1}-abc")
    assert run("--run_dir", "twins") == 0
    assert {row["n"] for row in by_score(folder / "twins/study/study.csv").values()} == {"6"}


def test_a_space_of_ones_own_needs_no_more_than_a_csv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, accuracies = invented()
    for number, each in enumerate(rows):
        each.update(space="mine.Own", architecture=f"net{number}", canonical=f"net{number}")
    write_run(tmp_path / "own", rows, space="mine.Own")
    write_accuracies(tmp_path / "own.csv", rows, accuracies)
    assert run("--run_dir", "own", "--benchmark", "own.csv") == 0
    assert by_score(tmp_path / "own/study/study.csv")["cifar10 test, 0 epochs", "naswot"]["n"] == "40"


def test_one_score_stands_beside_plain_size(place):
    folder, rows, _ = place
    one = [{**row, "scores": {"naswot": row["scores"]["naswot"]}} for row in rows]
    write_run(folder / "one", one, score="naswot")
    assert run("--run_dir", "one", "--benchmark", "table.csv") == 0
    found = {score for _, score in by_score(folder / "one/study/study.csv")}
    assert found == {"naswot", "rectified_units", "params", "macs"}


def test_a_score_that_is_no_longer_known_is_a_score(place):
    folder, rows, _ = place
    for number, each in enumerate(rows):
        each["scores"] = {**each["scores"], "my_own": float(number)}
    write_run(folder / "more", rows)
    assert run("--run_dir", "more", "--benchmark", "table.csv") == 0
    assert ("cifar10 test, 0 epochs", "my_own") in by_score(folder / "more/study/study.csv")


def test_candidates_of_an_algorithm_that_looks_for_good_ones_are_no_sample(place, capsys):
    folder, rows, _ = place
    write_run(folder / "rea", rows, algorithm="rea:population=10", max_params=500_000)
    assert run("--run_dir", "rea", "--benchmark", "table.csv") == 0
    printed = capsys.readouterr().out
    assert "proposed by rea:population=10 (seed 0), at most 500,000 parameters" in printed
    assert "restricted range" in printed
