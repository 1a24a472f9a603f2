"""The command on invented runs: tables, files, and its numbers against independent ones; mistakes are one line."""

import csv
import itertools
import json
import math
import os
import re
from functools import partial

import numpy as np
import pytest
from scipy import stats

from naswot_lightning.analysis.choosing import judge_choices
from naswot_lightning.cli import run_named
from naswot_lightning.report import figures
from naswot_lightning.storage.files import lock_folder
from tests.commands import ends
from tests.commands.ends import contents
from tests.runs import result, write_pick
from tests.study.runs import invented, run, write_accuracies, write_run

main = partial(run_named, "study")

TABLE = ("--benchmark", "table.csv")


def by_score(path, accuracy=None):
    """Return the rows of study.csv: of one accuracy, or of the only one."""
    with open(path, newline="") as file:
        return {row["score"]: row for row in csv.DictReader(file) if accuracy in (None, row["accuracy"])}


def column(rows, name):
    return [-math.inf if row["scores"][name] is None else row["scores"][name] for row in rows]


def tau(a, b):
    return pytest.approx(stats.kendalltau(a, b).statistic)


def joint_rank(rows, *names):
    """The mean of log(rank / n) over scores, among all candidates."""
    ranks = [stats.rankdata(column(rows, name)) for name in names]
    return np.log(np.divide(ranks, len(rows))).mean(0)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, accuracies = invented()
    write_run(tmp_path / "run", rows)
    write_accuracies(tmp_path / "table.csv", rows, accuracies)
    return tmp_path, rows, accuracies


@pytest.fixture
def place(drawn, monkeypatch):
    """The same, where figures are not written: that takes longer than all else."""
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: None)
    return drawn


def test_all_scores_sizes_and_aggregates_are_studied(drawn, capsys):
    folder, rows, accuracies = drawn
    assert run("--run_dir", "run", *TABLE, "--out", "mine/here") == 0
    assert not (folder / "run/study").exists()
    out = folder / "mine/here"
    assert sorted(path.name for path in out.iterdir()) == ["study.csv", "study.json", "study.png"]
    assert (out / "study.png").read_bytes()[:4] == b"\x89PNG"
    found = by_score(out / "study.csv")
    assert next(iter(found)) == "naswot"
    assert set(found) == {"naswot", "jacob_cov", "rectified_units", "params", "macs", "jacob_cov+params"}
    for name in ("naswot", "jacob_cov", "params"):
        assert float(found[name]["tau"]) == tau(column(rows, name), accuracies)
    assert float(found["jacob_cov+params"]["tau"]) == tau(joint_rank(rows, "jacob_cov", "params"), accuracies)
    assert (found["naswot"]["outcome"], found["params"]["outcome"]) == ("beats", "model size")
    typed = json.loads((out / "study.json").read_text())
    assert typed["method"]["interval"] == "percentile bootstrap over networks"
    first = typed["panels"][0]["judged"][0]
    for name, key in (("tau", "tau"), ("less_size", "less_size"), ("partial", "partial_tau")):
        ends = [float(found[first["score"]][f"{key}{end}"]) for end in ("", "_low", "_high")]
        assert [first[name][end] for end in ("value", "low", "high")] == ends
    regret = judge_choices({"naswot": column(rows, "naswot")}, np.asarray(accuracies))["naswot"].regret[10]
    assert [float(found["naswot"][f"regret_10{end}"]) for end in ("", "_low", "_high")] == pytest.approx(
        [regret.value, regret.low, regret.high], rel=1e-4
    )
    assert found["naswot"]["regret_100"] == ""
    assert typed["panels"][0]["choices"]["naswot"]["regret"]["10"]["value"] == pytest.approx(regret.value, rel=1e-4)
    printed = capsys.readouterr().out
    assert re.search(rf"naswot +{re.escape(f'{regret:.2f}')} ", printed)
    assert re.search(r"at random .* 0\.05 \[0\.05, 0\.05\]", printed)
    assert "cifar10 test, 0 epochs (table), n = 40; model size is parameters" in printed
    assert "Better than model size (parameters), with an interval that excludes 0: naswot" in printed
    assert "40 architectures of nasbench201, drawn at random (seed 0)." in printed
    assert "One run does not tell how stable the scores are" in printed


def test_data_sets_and_scores_can_be_chosen(place):
    folder, rows, accuracies = place
    write_accuracies(folder / "both.csv", rows, accuracies, ("cifar10", "cifar100"))
    path, words = folder / "run/study/study.csv", ("--run_dir", "run", "--benchmark", "both.csv")
    assert run(*words, "--score", "jacob_cov,naswot+params:mean_rank") == 0
    for name in ("cifar10", "cifar100"):
        found = by_score(path, f"{name} test, 0 epochs")
        assert set(found) == {"jacob_cov", "naswot+params:mean_rank", "params", "macs"}
    assert run(*words, "--benchmark_dataset", "cifar100") == 0
    assert {row["accuracy"] for row in by_score(path).values()} == {"cifar100 test, 0 epochs"}


def test_candidates_without_a_score_are_last_and_without_an_accuracy_no_points(place, capsys):
    folder, rows, accuracies = place
    write_accuracies(folder / "part.csv", rows[:25], accuracies[:25])
    assert run("--run_dir", "run", "--benchmark", "part.csv") == 0
    assert "n = 25; model size" in capsys.readouterr().out
    found = by_score(folder / "run/study/study.csv")
    joint = joint_rank(rows, "jacob_cov", "params")[:25]
    assert float(found["jacob_cov+params"]["tau"]) == tau(joint, accuracies[:25])
    for number in (3, 7):
        rows[number]["scores"]["jacob_cov"] = None
    failed = {"naswot": None, "jacob_cov": None, "params": None}
    rows[11].update(scores=failed, score=None, status="failed", params=None, macs=None, n_units=None)
    write_run(folder / "some", rows)
    assert run("--run_dir", "some", *TABLE) == 0
    found = by_score(folder / "some/study/study.csv")
    unscored = {"naswot": 1, "jacob_cov": 3, "params": 1, "macs": 1, "rectified_units": 1, "jacob_cov+params": 3}
    assert {score: int(row["unscored"]) for score, row in found.items()} == unscored
    assert float(found["jacob_cov"]["tau"]) == tau(column(rows, "jacob_cov"), accuracies)


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
    assert "nasbench201 on digits, 3 epochs, seeds 0, 1 (trained picks), n = 8; model size" in printed
    found = by_score(folder / "run/study/study.csv")
    assert float(found["naswot"]["tau"]) == tau(column(rows, "naswot")[1:9], accuracies[1:9])


def test_candidates_of_one_trained_network_are_one_point(place):
    folder, rows, _ = place
    twins = [{**rows[0], "architecture": f"twin{number}", "canonical": rows[0]["canonical"]} for number in range(5)]
    write_run(folder / "twins", rows + twins)
    for number in range(6):
        names = {"architecture": rows[number]["architecture"], "canonical": rows[number]["canonical"]}
        write_pick(folder / "twins", result(number + 1, **names), name=f"{number + 1}-abc")
    assert run("--run_dir", "twins") == 0
    assert {row["n"] for row in by_score(folder / "twins/study/study.csv").values()} == {"6"}


def test_odd_runs_are_studied(place, capsys):
    folder, rows, _ = place
    one = [{**row, "scores": {"naswot": row["scores"]["naswot"]}} for row in rows]
    unknown = [{**row, "scores": {**row["scores"], "my_own": float(number)}} for number, row in enumerate(rows)]
    begun = [{**row, "fidelity": 0.0} for row in rows]
    begun += [{**row, "scores": {"val_acc": 0.5}, "fidelity": 0.25} for row in rows]
    everything = {"naswot", "jacob_cov", "jacob_cov+params", "rectified_units", "params", "macs"}
    for name, own, settings, scores in (
        ("one", one, {"score": "naswot"}, {"naswot", "rectified_units", "params", "macs"}),
        ("unknown", unknown, {}, everything | {"my_own"}),
        ("halving", begun, {"evaluator": "train"}, everything),  # trainings are no scores
        ("odd", rows, {"repeats": "many", "max_params": "few", "seed": [], "samples": {}}, everything),
        ("rea", rows, {"algorithm": "rea:population=10", "max_params": 500_000}, everything),
    ):
        write_run(folder / name, own, **settings)
        assert run("--run_dir", name, *TABLE) == 0
        assert set(by_score(folder / name / "study/study.csv")) == scores
    printed = capsys.readouterr().out
    assert "proposed by rea:population=10 (seed 0), max_params 500000" in printed
    assert "restricted range" in printed


def test_taus_between_runs_are_those_of_the_same_architectures(place, capsys):
    folder, rows, accuracies = place
    runs = [rows]
    for seed in (1, 2):
        more, _ = invented(seed=seed, noise=1.0)
        runs.append(more)
        order = np.random.default_rng(seed).permutation(len(more))
        write_run(folder / f"run{seed}", [more[place] for place in order], seed=seed, batch_size=16 * (seed + 1))
    assert run("--run_dir", "run", "run1", "run2", *TABLE) == 0
    found = by_score(folder / "run/study/study.csv")
    for name in ("naswot", "jacob_cov"):
        values = [column(each, name) for each in runs]
        between = [stats.kendalltau(a, b).statistic for a, b in itertools.combinations(values, 2)]
        assert float(found[name]["tau_between_runs"]) == pytest.approx(np.mean(between))
    assert float(found["params"]["tau_between_runs"]) == 1
    printed = capsys.readouterr().out
    assert "run1: seed 1 in place of 0, batch_size 32 in place of 16" in printed
    in_each = [stats.kendalltau(column(each, "naswot"), accuracies).statistic for each in runs]
    assert ", ".join(f"{each:.3f}" for each in in_each) in printed
    write_run(folder / "few", [{**row, "scores": {"naswot": row["scores"]["naswot"]}} for row in runs[1]], seed=5)
    assert run("--run_dir", "run", "few", *TABLE) == 0
    found = by_score(folder / "run/study/study.csv")
    assert found["jacob_cov"]["tau_between_runs"] == found["jacob_cov+params"]["tau_between_runs"] == ""
    assert found["naswot"]["tau_between_runs"] != ""


def test_the_deviation_over_repeats_is_a_share_of_that_over_candidates(place, capsys):
    folder, rows, _ = place
    repeated = [{**row, "stds": {"naswot": 0.1 + 0.01 * n, "jacob_cov": None}} for n, row in enumerate(rows)]
    write_run(folder / "repeated", repeated, repeats=3)
    assert run("--run_dir", "repeated", *TABLE) == 0
    found = by_score(folder / "repeated/study/study.csv")
    spread = np.std(column(rows, "naswot"), ddof=1)
    assert float(found["naswot"]["std_of_repeats"]) == pytest.approx((0.1 + 0.01 * 39 / 2) / spread)
    assert found["jacob_cov"]["std_of_repeats"] == found["params"]["std_of_repeats"] == ""
    assert "std over 3 repeats / over candidates" in capsys.readouterr().out


def test_another_column_of_the_table_is_the_target(place, capsys):
    folder, rows, _ = place
    lines = [f"{row['architecture']},{row['params'] / 7}" for row in rows]
    # The device cannot run the last one.
    *rows, last = rows
    lines[-1] = f"{last['architecture']},-1"
    (folder / "hw.csv").write_text("\n".join(["architecture,ms", *lines]))
    assert run("--run_dir", "run", "--benchmark", "hw.csv", "--target", "ms") == 0
    found = by_score(folder / "run/study/study.csv", "ms")
    assert float(found["params"]["tau"]) == 1
    assert float(found["naswot"]["tau"]) == tau(column(rows, "naswot"), column(rows, "params"))
    printed = capsys.readouterr().out
    assert "ms (hw), n = 39" in printed
    # Whether high is good is not known of it.
    assert "regret" not in printed


@pytest.fixture
def refused(place, capsys):
    """Return the line of a mistake, which leaves all files as they were."""

    def line(*words):
        before = contents(place[0])
        error = ends.refused(capsys, main, *words)
        assert contents(place[0]) == before
        return error

    return line


def test_invalid_options_are_one_line(place, refused):
    (place[0] / "hw.csv").write_text(f"architecture,a_ms,b_ms\n{place[1][0]['architecture']},1,2\n")
    for words, message in (
        ((), "--run_dir is missing: give the run folder of a search"),
        (("--run_dir", "none", *TABLE), "none: no search in it; expected the run folder of naswot search"),
        (("--run_dir", "run"), "run: no comparable trained picks; a study needs 5: run naswot train"),
        (("--run_dir", "run", "run/../run", *TABLE), "--run_dir run/../run: given twice"),
        (("--run_dir", "run", "--benchmark", "none.csv"), "none.csv"),
        (("--run_dir", "run", "--benchmark_dataset", "cifar10"), "needs --benchmark TABLE"),
        (("--run_dir", "run", *TABLE, "--benchmark_dataset", "svhn"), "has accuracies on cifar10, not on svhn"),
        (("--run_dir", "run", "--target", "ms"), "--target ms: needs --benchmark TABLE"),
        (
            ("--run_dir", "run", "--benchmark", "hw.csv"),
            "has no accuracies; choose a column with --target a_ms or b_ms",
        ),
        (("--run_dir", "run", *TABLE, "--score", "zen"), "--score zen is not in run, which has naswot, jacob_cov"),
        (("--run_dir", "run", *TABLE, "--score", "naswot+zen"), "--score naswot+zen: its part zen is not in run"),
        (("--run_dir", "run", *TABLE, "--score", "nasvot"), "did you mean 'naswot'?"),
        (("--run_dir", "run", *TABLE, "--out", "table.csv"), "--out table.csv: expected a folder, but this is a file"),
        (("--run_dir", "run", *TABLE, "--scores", "naswot"), "unknown option --scores; did you mean --score?"),
    ):
        assert message in refused(*words)


def test_runs_and_accuracies_that_make_no_study_are_one_line(place, refused):
    folder, rows, accuracies = place
    write_run(folder / "fewer", rows[:-2], seed=1)
    write_run(folder / "again", rows)
    write_run(folder / "elsewhere", rows, space="nats_size", seed=1)
    write_run(folder / "trained", [{**row, "scores": {"val_acc": 0.5}} for row in rows], evaluator="train")
    write_run(folder / "empty", [])
    write_accuracies(folder / "four.csv", rows[:4], accuracies[:4])
    write_accuracies(folder / "shares.csv", rows, [each / 100 for each in accuracies])
    message = refused("--run_dir", "run", "fewer", *TABLE)
    assert "has other architectures than run (2 of its 40 are missing, 0 are extra)" in message
    assert f"--architectures {os.path.join('run', 'ranking.csv')} --seed 1" in message
    for words, message in (
        (("run", "elsewhere", *TABLE), "--run_dir elsewhere: has other architectures"),
        (("run", "again", *TABLE), "the same seed and probe batch as run"),
        (("trained", *TABLE), "no candidate in it has a score; search with --evaluator scores"),
        (("empty", *TABLE), "run its search first"),
        (("run", "--benchmark", "shares.csv"), "give percentages"),
        (
            ("run", "--benchmark", "four.csv"),
            "has accuracies for 4 of the 40 candidates of run (nasbench201); a study needs 5",
        ),
    ):
        assert message in refused("--run_dir", *words)
    for number in range(1, 5):
        names = {"architecture": rows[number]["architecture"], "canonical": rows[number]["canonical"]}
        write_pick(folder / "run", result(number, **names))
    assert "run: 4 comparable trained picks; a study needs 5" in refused("--run_dir", "run")


def test_a_folder_that_is_in_use_or_damaged_is_named(place, refused):
    folder, rows, _ = place
    with lock_folder(folder / "run"):
        assert "in use by another process" in refused("--run_dir", "run", *TABLE)
    scores = folder / "run" / "scores.jsonl"
    cut = scores.read_text() + json.dumps(rows[0])[:50]  # a search is writing it
    scores.write_text(cut)
    assert run("--run_dir", "run", *TABLE, "--out", "out") == 0
    assert scores.read_text() == cut
    (folder / "run" / "config.yaml").write_text("[")
    assert "config.yaml is damaged" in refused("--run_dir", "run", *TABLE)
