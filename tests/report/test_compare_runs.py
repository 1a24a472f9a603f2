"""Several runs beside each other: what is compared, printed and written."""

import json
import re

import numpy as np
import pytest
from scipy import stats

from naswot_lightning.cli.report import PROG, main
from naswot_lightning.report.compare_runs import RunsComparison, compare_runs, read_runs
from naswot_lightning.report.figures.curves import relative
from naswot_lightning.report.show_runs import render_comparison
from naswot_lightning.storage.run_folder import RunFolder
from tests.commands.ends import contents
from tests.report.html.folders import HOSTILE, failed_row, sampled_rows, write_search
from tests.report.run_folders import write_noisy, write_ranked


def compared(*paths):
    return compare_runs(read_runs([RunFolder(path) for path in paths]))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two searches with trained picks; no test writes into them."""
    folder = tmp_path_factory.mktemp("two")
    first = write_ranked(folder / "a")
    return first, write_ranked(folder / "b", shift=60.0, count=24, seeds=(1, 2, 3), seed=1, batch_size=32)


def scores_of(folder):
    rows = json.loads((folder / "ranking.json").read_text())
    return {row["canonical"]: row["score"] for row in rows if row["status"] == "ok"}


def test_differences_are_settings_that_change_a_result(two, tmp_path):
    named = dict(compared(*two).differences)
    assert named == {"seed": ("0", "1"), "batch_size": ("64", "32"), "train.py seeds": ("0", "1, 2, 3")}
    same = write_ranked(tmp_path / "a", run_dir="elsewhere", top=3)
    found = compared(two[0], same)
    assert found.differences == ()
    assert found.names == (str(two[0]), str(same))  # of one name: told apart by their paths
    write_noisy(tmp_path / "given", 3)
    found = compared(two[0], tmp_path / "given")
    assert dict(found.differences)["batch_size"] == ("64", "-")
    assert dict(found.rows)["candidates"] == ("30 scored", "-")
    assert dict(found.rows)["trained networks"] == ("5, 1 seed", "3, 1 seed")


def test_figures_are_those_of_the_files(two):
    rows = dict(compared(*two).rows)
    assert rows["best"] == tuple(f"{max(scores_of(folder).values()):,.2f}" for folder in two)
    for place, folder in enumerate(two):
        by_network, validation = {}, {}
        for path in folder.glob("picks/*/result.json"):
            result = json.loads(path.read_text())
            by_network.setdefault(result["canonical"], []).append(100 * result["test_acc"])
            validation[result["canonical"]] = result["best_val_acc"]
        means = [np.mean(values) for values in by_network.values()]
        assert rows["test accuracy, mean (%)"][place] == f"{np.mean(means):.2f} ± {np.std(means, ddof=1):.2f}"
        assert rows["  lowest to highest (%)"][place] == f"{min(means):.2f} to {max(means):.2f}"
        best = by_network[max(validation, key=validation.get)]
        band = f" ± {np.std(best, ddof=1):.2f}, 3 seeds" if len(best) > 1 else ", 1 seed"
        assert rows["test accuracy of the best (%)"][place] == f"{np.mean(best):.2f}{band}"
    assert re.fullmatch(r"\d\.\d\d \[-?\d\.\d\d, 1\.00\], n = 5", rows["tau of score at init"][0])


def test_rankings_agree_as_far_as_tau_of_the_shared_networks_says(two, tmp_path):
    (agreement,) = compared(*two).agreements
    first, second = map(scores_of, two)
    shared = sorted(first.keys() & second.keys())
    assert len(shared) == 24
    tau = stats.kendalltau([first[name] for name in shared], [second[name] for name in shared]).statistic
    assert agreement.tau.value == pytest.approx(tau)
    assert agreement.tau.low < tau < agreement.tau.high
    assert (agreement.tau.n, agreement.why) == (24, None)
    running = compared(two[0], write_search(tmp_path / "running", sampled_rows(9), ranked=False))
    assert dict(running.rows)["candidates"] == ("30 scored", "9 scored, so far")
    assert running.agreements[0].tau.n == 9


def test_what_is_not_compared_is_said(two, tmp_path):
    relative_run = write_ranked(tmp_path / "relative", score="naswot+params")
    other_space = write_search(tmp_path / "other", sampled_rows(5, "nats_size"), space="nats_size")
    disjoint = write_search(tmp_path / "disjoint", [failed_row("|odd~0|", "no"), *sampled_rows(40)[30:]])
    write_noisy(tmp_path / "given", 2)
    found = compared(two[0], relative_run, other_space, disjoint, tmp_path / "given").agreements
    assert {each.second: each.why for each in found if each.first == "a"} == {
        "relative": "relative ranks by ranks put together, which change with its candidates",
        "other": "they are of nasbench201 and of nats_size",
        "disjoint": "they share no scored network",
        "given": "given has no ranking",
    }


def test_trajectories_are_means_over_seeds_and_relative_to_init(two):
    found = compared(*two)
    assert [len(lines) for lines in found.trajectories] == [5, 5]
    seeds = two[1].glob("picks/1-c1-seed*/trajectory.csv")
    scores = np.array([[float(line.split(",")[2]) for line in path.read_text().split()[1:]] for path in seeds])
    first = found.trajectories[1][0]
    assert [score for _, score in first] == pytest.approx(scores.mean(0).tolist())
    assert relative(first)[0] == (0.0, 1.0)
    assert relative(first)[-1][1] == pytest.approx(scores.mean(0)[-1] / scores.mean(0)[0])
    assert relative(((0.5, 3.0), (1.0, 4.0))) == relative(((0.0, -1.0), (1.0, 4.0))) == ()


def run_report(runs, *words):
    return main(["--run_dir", *map(str, runs), *map(str, words)])


def test_comparison_is_printed_and_written_beside_not_into_the_runs(two, tmp_path, monkeypatch, capsys):
    before = [contents(folder) for folder in two]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_report(two) == 0
    assert [contents(folder) for folder in two] == before
    first = contents(tmp_path / "here")
    assert sorted(first) == ["comparison.html", "trajectories_of_runs.png"]
    printed = capsys.readouterr().out
    assert printed.endswith("\nReport: comparison.html\n")
    assert re.search(r"^seed +0 +1$", printed, re.M)
    assert "n = 24 networks" in printed
    assert run_report(two, "--format", "png", "svg") == 0  # a page of ours is written anew, the same
    again = contents(tmp_path / "here")
    assert again.pop("trajectories_of_runs.svg").startswith(b"<?xml")
    assert again == first
    untrained = [write_ranked(tmp_path / name, trained=0) for name in "cd"]
    assert run_report(untrained, "--out", tmp_path / "none") == 0
    assert sorted(contents(tmp_path / "none")) == ["comparison.html"]


def test_mistakes_are_one_line(two, tmp_path, capsys):
    (tmp_path / "comparison.html").write_text("my own")
    for words, message in (
        ((two[0], two[0]), f"--run_dir {two[0]}: it is given twice"),
        ((two[0], tmp_path / "none"), f"--run_dir {tmp_path / 'none'}: no run in it"),
        ((*two, "--figure", "figure6"), "--figure figure6: figures are of one run"),
        ((*two, "--out", tmp_path), "comparison.html is not a page of ours"),
    ):
        assert run_report(words) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"{PROG}: error: ")
        assert message in error
        assert error.count("\n") == 1
    assert (tmp_path / "comparison.html").read_text() == "my own"


def test_texts_of_files_are_escaped():
    hostile = RunsComparison((HOSTILE, "b"), (), ((HOSTILE, (HOSTILE, "-")),), (), (((((0.0, 1.0)),),), ()))
    page = render_comparison(hostile)
    assert "hacked=1</script>" not in page
    assert "<img" not in page
