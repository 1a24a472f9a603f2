"""The comparison of trained picks: its tables, its evidence and what it prints. Figures are drawn once."""

import json

import pytest
from scipy import stats

from naswot_lightning.api import TrainedPicks
from naswot_lightning.errors import UserError
from naswot_lightning.report import compare as module
from naswot_lightning.report.compare import NAMES, compare
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.html.folders import sampled_rows, write_search
from tests.report.run_folders import FAILED, write_noisy
from tests.runs import read_csv as table
from tests.runs import result, write_pick


@pytest.fixture
def _without_figures(monkeypatch):
    monkeypatch.setattr(module, "draw_figures", lambda *_: {})


def compared(run, capsys):
    """Compare; return the largest group's evidence, all of the file, and what was printed."""
    compare(RunFolder(run))

    def refuse(name):
        raise AssertionError(f"{name} in evidence.json")

    evidence = json.loads((run / "evidence.json").read_text(), parse_constant=refuse)
    return evidence["groups"][0], evidence, capsys.readouterr().out


def test_compare_writes_a_row_per_pick_the_evidence_and_pictures(tmp_path, capsys):
    write_noisy(tmp_path)
    (tmp_path / "comparison_seeds.csv").write_text("of an earlier comparison")
    found, _, printed = compared(tmp_path, capsys)
    rows = table(tmp_path / "comparison.csv")
    assert tuple(rows[0]) == NAMES
    assert [row["rank"] for row in rows] == [str(number) for number in range(1, 9)]
    assert not (tmp_path / "comparison_seeds.csv").exists()
    accuracy = [float(row["test_acc"]) for row in rows]
    for name in ("score_init", "score_final", "params", "macs"):
        values = [float(row[name]) for row in rows]
        each = found["correlations"]["test_acc"][name]
        tau = each["kendall_tau"]
        assert tau["value"] == pytest.approx(stats.kendalltau(values, accuracy).statistic)
        assert each["spearman_rho"]["value"] == pytest.approx(stats.spearmanr(values, accuracy).statistic)
        assert tau["low"] <= tau["value"] <= tau["high"]
        assert f"{tau['value']:.3f} [{tau['low']:.3f}, {tau['high']:.3f}]" in printed
    assert found["verdict"]["sentence"] in printed
    best = (
        f"Best: pick 1-c1, validation accuracy 89.00 %, test {100 * accuracy[0]:.2f} %; {tmp_path}/picks/1-c1/best.ckpt"
    )
    assert printed.splitlines()[-3:] == [
        best, f"      naswot export --run_dir {tmp_path}", f"Report: {tmp_path}/report.html",
    ]  # fmt: skip
    assert found["trajectory"]["change_first_epoch"]["n"] == found["networks"] == 8
    files = {name: (tmp_path / name).read_bytes() for name in ("evidence.json", "comparison.csv", "report.html")}
    pictures = {path: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert {path.stem for path in pictures} >= {"figure6", "score_vs_accuracy"}
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    compared(tmp_path, capsys)  # the same again
    assert files == {name: (tmp_path / name).read_bytes() for name in files}
    assert pictures == {path: path.read_bytes() for path in pictures}


@pytest.mark.usefixtures("_without_figures")
def test_compare_seeds_are_means_deviations_and_one_point(tmp_path, capsys):
    write_noisy(tmp_path, seeds=(777, 888, 999))
    lost = tmp_path / "picks" / "2-c2-seed888" / "result.json"
    lost.write_text(json.dumps({**json.loads(lost.read_text()), **FAILED}))
    found, _, printed = compared(tmp_path, capsys)
    assert len(table(tmp_path / "comparison.csv")) == 24
    rows = table(tmp_path / "comparison_seeds.csv")
    assert [(row["n_seeds"], row["left_out"]) for row in rows] == [("3", "0"), ("2", "1"), *[("3", "0")] * 6]
    of_first = [json.loads(p.read_text())["test_acc"] for p in tmp_path.glob("picks/1-c1-seed*/result.json")]
    mean = sum(of_first) / 3
    assert float(rows[0]["test_acc_mean"]) == pytest.approx(mean)
    assert float(rows[0]["test_acc_std"]) == pytest.approx((sum((a - mean) ** 2 for a in of_first) / 2) ** 0.5)
    assert "Left out of the statistics: 1 diverged." in printed
    assert (found["networks"], found["seeds"]) == (8, [777, 888, 999])
    tau = stats.kendalltau([-int(row["rank"]) for row in rows], [float(row["test_acc_mean"]) for row in rows]).statistic
    assert found["correlations"]["test_acc"]["score_init"]["kendall_tau"]["value"] == pytest.approx(tau)


@pytest.mark.usefixtures("_without_figures")
def test_compare_diverged_or_cut_training_is_shown_and_left_out(tmp_path, capsys):
    write_noisy(tmp_path)
    whole, _, _ = compared(tmp_path, capsys)
    write_pick(tmp_path, result(9, **FAILED), (1400.0, None, None, None))
    write_pick(tmp_path, result(10, epochs_trained=2))
    found, _, printed = compared(tmp_path, capsys)
    for name in ("correlations", "trajectory"):
        assert found[name] == whole[name]
    assert found["left_out"] == {"diverged": 1, "networks": 2}
    assert "1 diverged, 2 networks without a score and a test accuracy." in printed
    (line,) = (line for line in printed.splitlines() if "9-c9" in line)
    assert line.split()[:7] == ["9", "1410.00", "-", "-", "-", "1,009", "5,009"]
    assert table(tmp_path / "comparison.csv")[-2]["test_acc"] == ""


@pytest.mark.usefixtures("_without_figures")
def test_compare_picks_of_other_selections_are_not_mixed_and_the_gain_over_random_is_said(tmp_path, capsys):
    write_noisy(tmp_path, 20)
    for number in range(1, 21):
        chosen = "top,spread" if number < 3 else "spread"
        (tmp_path / "picks" / f"{number}-c{number}" / "config.yaml").write_text(f"selections: {chosen}\n")
    for number in (25, 30, 40):
        folder = write_pick(tmp_path, result(number, control=True), name=f"control-{number}-c{number}")
        (folder / "config.yaml").write_text("selections: control\n")
    found, whole, printed = compared(tmp_path, capsys)
    assert [(group["selection"], group["networks"]) for group in whole["groups"]] == [
        ("spread", 20), ("control", 3), ("top", 2),
    ]  # fmt: skip
    assert found["verdict"]["sentence"] in printed
    # Small samples of other selections are in the file alone.
    assert printed.count("Too little evidence") == 0
    (gain,) = whole["gains_over_random"]
    assert (len(gain["picks"]), len(gain["controls"]), gain["outcome"]) == (2, 3, "beat")
    assert gain["sentence"] in printed
    assert TrainedPicks(tmp_path).gain.sentence == gain["sentence"]
    assert "20 trained picks, 3 random controls" in printed
    html = (tmp_path / "report.html").read_text()
    assert gain["sentence"] in html
    assert "random: rank 25" in html
    # What a pick is worth is said of those that stand for the whole ranking.
    assert [list(group["choices"]) for group in whole["groups"]] == [["ranking", "parameters", "at random"], [], []]
    assert printed.count("What a pick is worth") == html.count("What a pick is worth") == 1


@pytest.mark.usefixtures("_without_figures")
def test_compare_names_the_score_that_ranked(tmp_path, capsys):
    write_noisy(write_search(tmp_path, sampled_rows(9), score="diversity"))
    assert "The score at init is naswot; the ranking is by diversity, which" in compared(tmp_path, capsys)[2]


@pytest.mark.usefixtures("_without_figures")
def test_compare_results_of_other_epochs_have_statistics_of_their_own(tmp_path, capsys):
    write_noisy(tmp_path, 6)
    alone = compared(tmp_path, capsys)[0]
    assert alone["ranked"] is None
    for number in range(1, 4):
        write_pick(tmp_path, result(number, rank=None, epochs=200, test_acc=0.1 * number))
    row = {"score": 1, "params": 1, "macs": 1, "n_units": 1, "status": "ok"}
    ranking = [{**row, "rank": n, "architecture": f"a{n}", "canonical": f"c{n}"} for n in range(1, 100)]
    (tmp_path / "ranking.json").write_text(json.dumps(ranking))
    found, whole, printed = compared(tmp_path, capsys)
    assert found["correlations"] == alone["correlations"]
    assert [(group["epochs"], group["networks"]) for group in whole["groups"]] == [(3, 6), (200, 3)]
    assert "n = 3 networks, 200 epochs, seed 0:" in printed
    assert found["ranked"] == 99
    assert "the top 6 of a ranking of 99 different networks" in printed


def test_compare_damaged_result_is_named_and_none_is_a_page(tmp_path):
    compare(RunFolder(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    (write_pick(tmp_path, result(2)) / "result.json").write_text("{")
    with pytest.raises(UserError, match=r"picks/2-c2/result\.json is not a valid JSON object"):
        compare(RunFolder(tmp_path))
    assert not (tmp_path / "evidence.json").exists()
