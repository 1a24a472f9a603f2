"""What figures of trained picks show, against their results and trajectories."""

import math

import numpy as np
import pytest

from naswot_lightning.report.figures import draw_figures, style
from naswot_lightning.report.figures.curves import draw_figure6
from naswot_lightning.report.figures.scatter import draw_score_vs_accuracy
from naswot_lightning.report.findings import find
from naswot_lightning.report.run import read_rows, read_run
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.html.folders import score_row, write_search
from tests.report.run_folders import FAILED, write_noisy
from tests.runs import result, write_pick


def drawn(folder, *draws):
    run = read_run(RunFolder(folder))
    findings = find(run)
    return run, findings, *(draw(run, findings) for draw in draws)


def test_figures_of_many_networks_show_points_bars_and_titles(tmp_path):
    write_noisy(tmp_path, 12, seeds=(1, 2))
    run, findings, lines, points = drawn(tmp_path, draw_figure6, draw_score_vs_accuracy)
    assert [len(axis.lines) for axis in lines.axes[:2]] == [12, 12]
    assert [axis.get_ylabel() for axis in lines.axes[2:]] == ["test accuracy (%)"]  # the colour bar
    first, *_ = points.axes
    tau = findings.groups[0].correlations["test_acc"]["score_init"].kendall_tau
    assert f"Kendall tau {tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}] (95 %), n = 12" in first.get_title()
    networks = {network.canonical: network for network in run.groups[0].networks}
    for container, rank in zip(first.containers, range(1, 13), strict=True):
        (x,), (y,) = container[0].get_data()
        network = networks[f"c{rank}"]
        assert (x, y) == pytest.approx((network.mean("score_init"), 100 * network.mean("test_acc")))
        (low, high) = container[2][-1].get_segments()[0][:, 1]
        assert (high - low) / 2 == pytest.approx(100 * network.deviation("test_acc"))
    assert points.get_suptitle().startswith("nasbench201 on digits, n = 12 networks, 3 epochs, seeds 1, 2 (mean ±")


def test_figure6_several_seeds_are_their_mean_in_a_band(tmp_path):
    write_noisy(tmp_path, 3, seeds=(0, 1, 2))
    run, _, figure = drawn(tmp_path, draw_figure6)
    _, full = figure.axes[:2]
    for network, line, band in zip(run.groups[0].by_rank, full.lines, full.collections, strict=True):
        scores = np.array([[y for _, y in run.trajectories[each.pick].points] for each in network.results])
        assert scores.shape == (3, 4)
        assert line.get_ydata() == pytest.approx(scores.mean(0))
        corners = band.get_paths()[0].vertices
        for epoch, mean, deviation in zip(range(4), scores.mean(0), scores.std(0, ddof=1), strict=True):
            heights = corners[corners[:, 0] == epoch, 1]
            assert (heights.min(), heights.max()) == pytest.approx((mean - deviation, mean + deviation))


def test_figure6_failed_training_is_grey_and_a_second_score_dotted(tmp_path):
    write_noisy(tmp_path, 2, seeds=(0, 1))
    write_pick(tmp_path, result(1, seed=2, **FAILED), (1500.0, 9000.0), "1-c1-seed2")
    _, _, figure = drawn(tmp_path, draw_figure6)
    first, grey, _ = figure.axes[1].lines
    assert (grey.get_color(), grey.get_linestyle(), grey.get_ydata().tolist()) == (style.FAILED, "--", [1500.0, 9000.0])
    assert max(first.get_ydata()) < 2000
    assert "grey: training failed" in figure.get_suptitle()
    path = tmp_path / "picks" / "2-c2-seed0" / "trajectory.csv"
    names, *rows = path.read_text().splitlines()
    rows = [f"{row},{1400 + number}" for number, row in enumerate(rows)]
    path.write_text("\n".join([f"{names},score_running", *rows[:-1], rows[-1].rpartition(",")[0] + ","]))
    _, _, figure = drawn(tmp_path, draw_figure6)
    full = figure.axes[1]
    (dotted,) = [line for line in full.lines if line.get_linestyle() == ":"]
    assert dotted.get_ydata().tolist() == [1400.0 + number for number in range(len(rows) - 1)]
    assert [line.get_color() for line in full.lines].count(dotted.get_color()) == 2


def test_draw_figures_failure_is_one_line_and_the_others_are_drawn(tmp_path, capsys):
    scores = [45.0 + math.ulp(45.0) * (number % 4) for number in range(12)]  # bins cannot be narrower than an ulp
    rows = [score_row(number, f"a{number}", scores={"naswot": score}) for number, score in enumerate(scores)]
    folder = RunFolder(write_search(tmp_path, rows, space="unknown"))
    run = read_rows(folder, read_run(folder))
    drawn = draw_figures(run, find(run), tmp_path / "figures", ("score_distribution", "score_vs_params"))
    assert drawn == {"score_vs_params": tmp_path / "figures" / "score_vs_params.png"}
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["score_vs_params.png"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path}/figures/score_distribution.png cannot be drawn: Too many bins")
