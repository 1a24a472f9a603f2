"""Several runs of the same candidates, and repeats: how stable a score is."""

import csv
import itertools

import numpy as np
import pytest
from scipy import stats

from tests.study.invented import invented, run, write_accuracies, write_run


def by_score(path):
    with open(path, newline="") as file:
        return {row["score"]: row for row in csv.DictReader(file)}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs of the same candidates in different orders."""
    monkeypatch.chdir(tmp_path)
    found = []
    for seed in range(3):
        rows, accuracies = invented(seed=seed, noise=1.0)
        found.append(rows)
        order = np.random.default_rng(seed).permutation(len(rows)) if seed else range(len(rows))
        write_run(tmp_path / f"run{seed}", [rows[place] for place in order], seed=seed, batch_size=16 * (seed + 1))
    write_accuracies(tmp_path / "table.csv", found[0], accuracies)
    return tmp_path, found, accuracies


def test_taus_between_runs_are_those_of_the_same_architectures(runs, capsys):
    folder, rows, accuracies = runs
    assert run("--run_dir", "run0", "run1", "run2", "--benchmark", "table.csv") == 0
    found = by_score(folder / "run0/study/study.csv")
    for name in ("naswot", "jacob_cov"):
        values = [[row["scores"][name] for row in each] for each in rows]
        between = [stats.kendalltau(a, b).statistic for a, b in itertools.combinations(values, 2)]
        assert float(found[name]["tau_between_runs"]) == pytest.approx(np.mean(between))
        assert float(found[name]["lowest_tau_between_runs"]) == pytest.approx(min(between))
        assert float(found[name]["tau_between_runs"]) < 1
    assert float(found["params"]["tau_between_runs"]) == 1
    printed = capsys.readouterr().out
    assert "run1: seed 1 in place of 0, batch_size 32 in place of 16" in printed
    in_each = [stats.kendalltau([row["scores"]["naswot"] for row in each], accuracies).statistic for each in rows]
    assert ", ".join(f"{tau:.3f}" for tau in in_each) in printed


def test_a_score_that_a_further_run_has_not_is_without_a_tau(runs):
    folder, rows, _ = runs
    without = [{**row, "scores": {"naswot": row["scores"]["naswot"]}} for row in rows[1]]
    write_run(folder / "few", without, seed=5)
    assert run("--run_dir", "run0", "few", "--benchmark", "table.csv") == 0
    found = by_score(folder / "run0/study/study.csv")
    assert found["jacob_cov"]["tau_between_runs"] == found["jacob_cov+params"]["tau_between_runs"] == ""
    assert found["naswot"]["tau_between_runs"] != ""


def test_the_deviation_over_repeats_is_a_share_of_that_over_candidates(runs, capsys):
    folder, rows, _ = runs
    repeated = [{**row, "stds": {"naswot": 0.1 + 0.01 * n, "jacob_cov": None}} for n, row in enumerate(rows[0])]
    write_run(folder / "repeated", repeated, repeats=3)
    assert run("--run_dir", "repeated", "--benchmark", "table.csv") == 0
    found = by_score(folder / "repeated/study/study.csv")
    spread = np.std([row["scores"]["naswot"] for row in repeated], ddof=1)
    assert float(found["naswot"]["std_of_repeats"]) == pytest.approx((0.1 + 0.01 * 39 / 2) / spread)
    assert found["jacob_cov"]["std_of_repeats"] == found["params"]["std_of_repeats"] == ""
    assert "std over 3 repeats / over candidates" in capsys.readouterr().out
