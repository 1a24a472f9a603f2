"""The command of reports: figures and pages of one run, the comparison of several, mistakes."""

import json
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from naswot_lightning.cli import run_named
from naswot_lightning.report.compare_runs import RunsComparison, read_runs, render_comparison
from naswot_lightning.report.figures.curves import relative
from naswot_lightning.storage.run_folder import RunFolder
from tests.commands.ends import contents, refused
from tests.report.html.folders import HOSTILE, failed_row, sampled_rows, write_search
from tests.report.run_folders import write_noisy, write_ranked

main = partial(run_named, "report")


@pytest.fixture
def run(tmp_path):
    write_noisy(tmp_path / "run", 5, seeds=(0, 1))
    return tmp_path / "run"


def test_formats_carry_our_mark_and_are_the_same_again(run, tmp_path):
    words = ["--run_dir", str(run), "--figure", "figure6", "--format", "png", "svg", "pdf"]
    for folder in "ab":
        assert main([*words, "--out", str(tmp_path / folder)]) == 0
    first = contents(tmp_path / "a")
    assert sorted(first) == ["figure6.pdf", "figure6.png", "figure6.svg"]
    assert first == contents(tmp_path / "b")
    for name, content in first.items():
        assert b"naswot-lightning" in content[:2000] + content[-2000:], name
        assert not re.search(rb"20\d\d-\d\d-\d\d|D:20\d\d", content), name  # no date


def test_figure_that_has_nothing_to_show_is_said_and_left_out_by_default(run, capsys):
    assert main(["--run_dir", str(run), "--figure", "score_vs_params"]) == 1
    assert capsys.readouterr().out == f"score_vs_params: nothing to show in {run}\n"
    assert not (run / "figures").exists()
    assert main(["--run_dir", str(run)]) == 0
    drawn = sorted(path.stem for path in (run / "figures").iterdir())
    assert drawn == ["figure3", "figure4", "figure6", "score_vs_accuracy"]


def test_mistakes_are_one_line_and_write_nothing(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_noisy(tmp_path / "other", 2)
    (tmp_path / "comparison.html").write_text("my own")
    before = contents(tmp_path)
    for words, message in (
        ("", "--run_dir is missing: give a run folder"),
        ("--run_dir none", "--run_dir none: no run in it"),
        ("--run_dir run --figure score_vs_param", "did you mean 'score_vs_params'?"),
        ("--run_dir run --format gif", "unknown format 'gif', expected one of png, svg, pdf"),
        ("--run_dir run --samples 1", "--samples 1: expected 2 to 1,000"),
        ("--run_dir run --batch_sizes 32 1", "--batch_sizes 1: expected 2 to 10,000"),
        ("--run_dir run ./run --out x", "--run_dir run: given twice"),
        ("--run_dir run other --figure figure6", "--figure figure6: a figure shows a single run"),
        ("--run_dir run other", "comparison.html was not written by naswot compare"),
    ):
        assert message in refused(capsys, main, *words.split())
    assert contents(tmp_path) == before
    (tmp_path / "mine").mkdir()
    for name in ("figures", "measured"):  # nothing is written through a link
        (run / name).symlink_to(tmp_path / "mine")
        assert "is a link, but a run keeps a folder here" in refused(capsys, main, "--run_dir", run)
        (run / name).unlink()
    assert not list((tmp_path / "mine").iterdir())


def compared(*paths):
    return RunsComparison(read_runs([RunFolder(path) for path in paths]))


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
    assert named == {"seed": ("0", "1"), "batch_size": ("64", "32"), "naswot train seeds": ("0", "1, 2, 3")}
    same = write_ranked(tmp_path / "a", run_dir="elsewhere", top=3)
    found = compared(two[0], same)
    assert found.differences == []
    assert found.names == [str(two[0]), str(same)]  # of one name: told apart by their paths
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
    ((*names, said),) = compared(*two).agreements
    first, second = map(scores_of, two)
    shared = sorted(first.keys() & second.keys())
    assert len(shared) == 24
    tau = stats.kendalltau([first[name] for name in shared], [second[name] for name in shared]).statistic
    assert names == ["a", "b"]
    assert re.fullmatch(rf"{tau:.2f} \[-?0\.\d\d, -?[01]\.\d\d\], n = 24 networks", said)
    running = compared(two[0], write_search(tmp_path / "running", sampled_rows(9), ranked=False))
    assert dict(running.rows)["candidates"] == ("30 scored", "9 scored, so far")
    assert "n = 9 networks" in running.agreements[0][2]


def test_what_is_not_compared_is_said(two, tmp_path):
    relative_run = write_ranked(tmp_path / "relative", score="naswot+params")
    other_space = write_search(tmp_path / "other", sampled_rows(5, "nats_size"), space="nats_size")
    disjoint = write_search(tmp_path / "disjoint", [failed_row("|odd~0|", "no"), *sampled_rows(40)[30:]])
    write_noisy(tmp_path / "given", 2)
    found = compared(two[0], relative_run, other_space, disjoint, tmp_path / "given").agreements
    assert {second: said.removeprefix("not compared: ") for first, second, said in found if first == "a"} == {
        "relative": "relative combines ranks, which depend on its candidates",
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


def test_comparison_is_printed_and_written_beside_not_into_the_runs(two, tmp_path, monkeypatch, capsys):
    before = [contents(folder) for folder in two]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    words = ["--run_dir", *map(str, two)]
    assert main(words) == 0
    assert [contents(folder) for folder in two] == before
    first = contents(tmp_path / "here")
    assert sorted(first) == ["comparison.html", "trajectories_of_runs.png"]
    printed = capsys.readouterr().out
    assert printed.endswith("\nReport: comparison.html\n")
    assert re.search(r"^seed +0 +1$", printed, re.M)
    assert "n = 24 networks" in printed
    assert main([*words, "--format", "png", "svg"]) == 0  # a page of ours is written anew, the same
    again = contents(tmp_path / "here")
    assert again.pop("trajectories_of_runs.svg").startswith(b"<?xml")
    assert again == first
    untrained = [str(write_ranked(tmp_path / name, trained=0)) for name in "cd"]
    assert main(["--run_dir", *untrained, "--out", str(tmp_path / "none")]) == 0
    assert sorted(contents(tmp_path / "none")) == ["comparison.html"]


def test_texts_of_files_are_escaped():
    hostile = SimpleNamespace(names=[HOSTILE, "b"], differences=[], rows=[(HOSTILE, (HOSTILE, "-"))], agreements=[])
    page = render_comparison(hostile, None)
    assert "hacked=1</script>" not in page
    assert "<img" not in page
