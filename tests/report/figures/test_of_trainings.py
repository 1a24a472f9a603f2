"""What figures of trained picks show, against their results and trajectories."""

import math

import numpy as np
import pytest

from naswot_lightning.analysis.results import comparable
from naswot_lightning.report.figures import draw_figures, style
from naswot_lightning.report.figures.curves import draw_figure6
from naswot_lightning.report.figures.scatter import draw_score_vs_accuracy
from naswot_lightning.report.findings import find
from naswot_lightning.report.run import read_rows, read_run
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.html.folders import score_row, write_search
from tests.report.run_folders import FAILED, write_noisy
from tests.runs import result, training_result, write_pick


def drawn(folder, *draws):
    run = read_run(RunFolder(folder))
    findings = find(run)
    return run, findings, *(draw(run, findings) for draw in draws)


def test_colors_are_one_per_network():
    for count in (3, 10, 11):
        results = [training_result(number, test_acc=0.5) for number in range(1, count)]
        (group,) = comparable([*results, training_result(count, **FAILED)])
        colors = style.colors(group.networks)
        assert [not network.usable for network in group.networks] == [color == style.FAILED for color in colors]
        assert len(set(colors)) == (count if count <= 10 else 2)  # a colour bar shows equal accuracies as equal


def test_figures_of_many_networks_show_points_bars_and_titles(tmp_path):
    write_noisy(tmp_path, 12, seeds=(1, 2))
    run, findings, lines, points = drawn(tmp_path, draw_figure6, draw_score_vs_accuracy)
    assert [len(axis.lines) for axis in lines.axes[:2]] == [12, 12]
    assert [axis.get_ylabel() for axis in lines.axes[2:]] == ["test accuracy (%)"]  # the colour bar
    assert lines.legends == []
    first, second, _ = points.axes
    tau = findings.groups[0].correlations["test_acc"]["score_init"].kendall_tau
    assert f"Kendall tau {tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}] (95 %), n = 12" in first.get_title()
    assert first.get_ylabel() == second.get_ylabel() == "test accuracy (%), test"
    assert len(first.containers) == 12
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
    assert figure.get_suptitle().endswith("seeds 0, 1, 2, mean ± standard deviation over seeds")
    for network, line, band in zip(run.groups[0].by_rank, full.lines, full.collections, strict=True):
        scores = np.array([[y for _, y in run.trajectories[each.pick].points] for each in network.results])
        assert scores.shape == (3, 4)
        assert line.get_ydata() == pytest.approx(scores.mean(0))
        corners = band.get_paths()[0].vertices
        for epoch, mean, deviation in zip(range(4), scores.mean(0), scores.std(0, ddof=1), strict=True):
            heights = corners[corners[:, 0] == epoch, 1]
            assert (heights.min(), heights.max()) == pytest.approx((mean - deviation, mean + deviation))


def test_figures_of_few_networks_differ_by_their_markers(tmp_path):
    write_noisy(tmp_path, 10)
    _, _, lines, points = drawn(tmp_path, draw_figure6, draw_score_vs_accuracy)
    of_lines = [line.get_marker() for line in lines.axes[1].lines]
    assert len(set(of_lines)) == 10
    assert [container[0].get_marker() for container in points.axes[0].containers] == of_lines


def test_figure6_failed_training_is_grey_and_a_second_score_dotted(tmp_path):
    write_noisy(tmp_path, 2, seeds=(0, 1))
    write_pick(tmp_path, result(1, seed=2, **FAILED), (1500.0, 9000.0), "1-c1-seed2")
    _, _, figure = drawn(tmp_path, draw_figure6)
    first, grey, second = figure.axes[1].lines
    assert (grey.get_color(), grey.get_linestyle(), grey.get_ydata().tolist()) == (style.FAILED, "--", [1500.0, 9000.0])
    assert max(first.get_ydata()) < 2000
    assert first.get_linestyle() == second.get_linestyle() == "-"
    assert "grey: training failed" in figure.get_suptitle()
    path = tmp_path / "picks" / "2-c2-seed0" / "trajectory.csv"
    names, *rows = path.read_text().splitlines()
    rows = [f"{row},{1400 + number}" for number, row in enumerate(rows)]
    path.write_text("\n".join([f"{names},score_running", *rows[:-1], rows[-1].rpartition(",")[0] + ","]))
    _, _, figure = drawn(tmp_path, draw_figure6)
    early, full = figure.axes[:2]
    assert [len(early.lines), len(full.lines)] == [4, 4]
    (dotted,) = [line for line in full.lines if line.get_linestyle() == ":"]
    assert dotted.get_ydata().tolist() == [1400.0 + number for number in range(len(rows) - 1)]
    assert [line.get_color() for line in full.lines].count(dotted.get_color()) == 2
    assert figure.get_suptitle().endswith(", dotted: running statistics")


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
