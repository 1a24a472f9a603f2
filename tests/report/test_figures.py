"""What figures show, against the ranking, known accuracies and trained picks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from naswot_lightning.analysis.evidence import correlations, judge
from naswot_lightning.analysis.trajectory import Curve, band_of
from naswot_lightning.benchmarks.targets import Target
from naswot_lightning.columns import Column, Criterion
from naswot_lightning.ranking import no_rows, rank, read_ranking, write_ranking
from naswot_lightning.report.figures import draw_figures, save_figure, style
from naswot_lightning.report.figures.bars import draw_figure4
from naswot_lightning.report.figures.curves import draw_best_so_far, draw_figure6
from naswot_lightning.report.figures.distributions import draw_distribution
from naswot_lightning.report.figures.scatter import (
    draw_figure3,
    draw_pareto,
    draw_score_vs_accuracy,
    draw_score_vs_params,
)
from naswot_lightning.report.findings import find, networks_with_accuracy
from naswot_lightning.report.html.tables import candidates_of, fronts_of
from naswot_lightning.report.run import BenchmarkEvidence, Run, read_rows, read_run
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow
from tests.report.html.folders import sampled_rows, score_row, write_search
from tests.report.run_folders import FAILED, write_noisy
from tests.runs import result, training_result, write_pick

SETTINGS = {"space": "nasbench201", "dataset": "digits", "seed": 7, "score": "naswot", "evaluator": "scores"}
NASWOT, MECO = (Criterion((Column(name, name),)) for name in ("naswot", "meco"))
TABLE = BenchmarkEvidence(
    networks=0, candidates=30, pick=None, best_candidate=None, best=None, correlations=correlations([]),
    verdict=judge([]), benchmark="mine", target=Target("cifar10", "test", 108),
)  # fmt: skip


def candidate(number, score, params, status="ok", **more):
    name = f"c{number}"
    scores = {"naswot": score, **more}
    return ScoreRow("nasbench201", name, name, score, scores, 10, params, 5, 7, "", 0.1, status, None)


def run_of(rows, results=(), **settings):
    return Run("run", {**SETTINGS, **settings}, rank(rows, [NASWOT]), tuple(results))


def invented(count=40, failed=3):
    rng = np.random.default_rng(0)
    rows = [candidate(number, 1000.0 + 10 * rng.random(), 500_000 + number) for number in range(count)]
    return [*rows, *(candidate(1000 + number, None, 5, "degenerate") for number in range(failed))]


def test_pareto_draws_the_front_of_scores_and_of_accuracies(tmp_path):
    folder = write_search(tmp_path, sampled_rows(30), objectives="naswot:max,params:min")
    write_noisy(folder, 8)
    ranking = read_ranking(folder)
    assert draw_pareto(read_run(RunFolder(folder)), None) is None  # a ranking that was made without objectives
    write_ranking(folder, ranking.assign(pareto_rank=1))
    run = read_run(RunFolder(folder))
    left, right = draw_pareto(run, None).axes
    # The lower a score is, the smaller is the network: all are on the front.
    assert set(left.lines[1].get_xdata()) == {*ranking["params"]}
    drawn = {line.get_label(): {*zip(*line.get_data(), strict=True)} for line in right.lines}
    points = {(each.params, 100 * each.test_acc) for each in run.results}
    front = {(x, y) for x, y in points if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)}
    assert drawn["trained network"] == front
    assert drawn["trained network, dominated"] == points - front
    assert fronts_of(run, candidates_of(run)) == [{"x": "params", "y": "score"}]  # no accuracy of a candidate


def test_score_vs_params_points_are_candidates_and_picks_are_marked(tmp_path):
    rows = invented()
    run = run_of(rows, [training_result(3), training_result(3, seed=1), training_result(8)], score="$\\frac{$x")
    figure = draw_score_vs_params(run, None)
    save_figure(figure, tmp_path / "drawn.png")  # no formula
    (axis,) = figure.axes
    others, picks = axis.lines
    scores = {row.params / 1e6: row.score for row in rows if row.status == "ok"}
    assert dict(zip(*picks.get_data(), strict=True)) == {0.500003: rows[3].score, 0.500008: rows[8].score}
    assert dict(zip(*others.get_data(), strict=True)) | dict(zip(*picks.get_data(), strict=True)) == scores
    assert figure.get_suptitle() == "nasbench201 on digits, seed 7, n = 40 of 43 candidates; left out 3 degenerate"
    assert axis.get_ylabel() == r"score: \$\frac{\$x"
    ranks = run.ranking.loc[run.ranking["canonical"].isin(["c3", "c8"]), "rank"].tolist()
    assert picks.get_label() == f"2 trained networks (rank {ranks[0]}, {ranks[1]})"
    # Without picks the first of the ranking is marked. The heading is the tau of the points.
    falling = [candidate(number, float(10**number), 10 ** (9 - number)) for number in range(9)]
    (axis,) = draw_score_vs_params(run_of([*falling, candidate(50, 3.0, None)]), None).axes
    assert axis.lines[1].get_ydata().tolist() == [10.0**8]
    assert axis.get_title() == "Kendall tau of score and parameters -1.00, 1 more of unknown size"
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")  # values are far apart


def test_distribution_counts_every_score_and_ticks_the_picks():
    rows = invented()
    figure = draw_distribution(run_of(rows, [training_result(3), training_result(8)]), None)
    (axis,) = figure.axes
    scores = np.array([row.score for row in rows if row.status == "ok"])
    edges = [bar.get_x() for bar in axis.patches]
    assert [bar.get_height() for bar in axis.patches] == np.histogram(scores, [*edges, scores.max()])[0].tolist()
    ticks = sorted(segment[0][0] for segment in axis.collections[0].get_segments())
    assert ticks == pytest.approx(sorted([rows[3].score, rows[8].score]))
    (axis,) = draw_distribution(run_of([candidate(number, 5.0, 1000) for number in range(4)]), None).axes
    assert [bar.get_height() for bar in axis.patches] == [4]  # equal scores


def test_figures_without_scores_or_accuracies_are_none():
    for draw in (draw_score_vs_params, draw_distribution, draw_figure3, draw_figure4):
        for run in (run_of([candidate(1, None, 5, "failed")]), Run("run", {}, no_rows(), ())):
            assert draw(run, None) is None


@pytest.fixture(scope="module")
def tabled():
    """A run of 30 candidates: one without naswot, one whose accuracy the table does not know."""
    rng = np.random.default_rng(0)
    rows = [candidate(number, number + 5 * rng.random(), 1000 + number, meco=rng.random()) for number in range(29)]
    rows.append(candidate(29, None, 999, "degenerate", meco=0.5))
    accuracies = np.array([0.5 + 0.01 * number for number in range(29)] + [0.1])
    accuracies[4] = np.nan
    settings = {**SETTINGS, "score": "naswot,meco", "benchmark": "mine.csv"}
    ranking = rank(rows, [NASWOT, MECO], {"benchmark_acc": accuracies})
    return Run("run", settings, ranking, (), benchmark=TABLE), rows, 100 * accuracies


def test_figure3_panel_shows_networks_with_a_score_and_an_accuracy(tabled):
    run, rows, accuracies = tabled
    figure = draw_figure3(run, None)
    first, second, *_ = figure.axes  # and the colour bars
    for axis, name in ((first, "naswot"), (second, "meco")):
        expected = {
            (row.scores[name], accuracy)
            for row, accuracy in zip(rows, accuracies, strict=True)
            if row.scores[name] is not None and not np.isnan(accuracy)
        }
        shown = axis.collections[0].get_offsets().tolist()
        assert sorted(shown) == pytest.approx(np.array(sorted(expected)))
        tau = kendalltau(*zip(*expected, strict=True)).statistic
        assert axis.get_title().startswith(f"Kendall tau {tau:.2f} [")
        assert axis.get_xlabel() == f"score: {name}"
    assert first.get_title().endswith("n = 28; 1 without a score")
    assert figure.get_suptitle().replace("\n", " ") == (
        "nasbench201, scored on digits, n = 29 networks; accuracy of mine, cifar10 test, 108 epochs"
    )
    colors = sorted(first.collections[0].get_array().tolist())
    assert colors == pytest.approx(sorted(row.params / 1e6 for n, row in enumerate(rows) if n not in (4, 29)))


def test_figure4_bars_are_taus_and_a_missing_score_is_the_worst(tabled):
    run, rows, accuracies = tabled
    figure = draw_figure4(run, None)
    bars = [container for container in figure.axes[0].containers if hasattr(container[0], "get_height")]
    kept = ~np.isnan(accuracies)
    values = {
        "naswot": np.array([-1.0 if row.scores["naswot"] is None else row.scores["naswot"] for row in rows]),
        "meco": np.array([row.scores["meco"] for row in rows]),
        "params": np.array([row.params for row in rows]),
    }
    expected = {name: kendalltau(each[kept], accuracies[kept]).statistic for name, each in values.items()}
    assert {bar.get_label(): bar[0].get_height() for bar in bars} == pytest.approx(expected)


def test_networks_with_accuracy_of_picks_are_means_beside_the_score_that_ranked(tmp_path):
    write_noisy(tmp_path, 6, seeds=(0, 1))
    run = read_run(RunFolder(tmp_path))
    found = networks_with_accuracy(run)
    networks = run.groups[0].networks
    assert found.scores["naswot"].tolist() == [network.mean("score_init") for network in networks]
    assert found.accuracies.tolist() == pytest.approx([100 * network.mean("test_acc") for network in networks])
    rows = [candidate(number, 100.0 - number, 1000) for number in range(1, 5)]
    ranked = replace(run, settings=SETTINGS, ranking=rank(rows, [NASWOT]))
    assert sorted(networks_with_accuracy(ranked).scores["naswot"].tolist())[:4] == [96.0, 97.0, 98.0, 99.0]
    assert (
        draw_figure3(ranked, find(ranked)).axes[0].get_title().endswith("n = 4: too few for a tau; 2 without a score")
    )


def curve(values, seconds=2.0):
    places = range(1, len(values) + 1)
    return Curve(tuple(float(n) for n in places), tuple(seconds * n for n in places), tuple(values))


def test_band_is_of_staircases_and_holds_eight_of_ten_seeds():
    band = band_of([curve([None, 1.0, 3.0]), curve([2.0, 2.0, 2.0, 4.0, 4.0])], "evaluations")
    assert (band.effort[0], band.effort[-1], band.seeds) == (2, 5, 2)
    for effort, mean in ((2.5, 1.5), (3.5, 2.5), (4.5, 3.5), (5.0, 3.5)):
        assert band.mean[np.searchsorted(band.effort, effort)] == mean
    band = band_of([curve([float(seed)] * 3) for seed in range(11)], "seconds")
    assert (band.low, band.high, band.mean) == (pytest.approx(1), pytest.approx(9), pytest.approx(5))
    assert (band.effort[0], band.effort[-1]) == (2, 6)
    assert band_of([], "evaluations") is None
    assert band_of([curve([None, None]), curve([1.0])], "evaluations") is None


def test_best_so_far_of_few_is_a_band_and_of_many_a_bar_at_the_end():
    searches = {name: [curve([1.0 + n, 2.0 + n, 3.0 + n]) for n in range(11)] for name in ("a", "b", "$c", "d")}
    figure = draw_best_so_far({name: searches[name] for name in ("a", "b", "$c")}, "accuracy (%)", "cells")
    assert [axis.get_xlabel() for axis in figure.axes] == ["evaluations (whole trainings)", "simulated time (s)"]
    assert "n = 11 seeds" in figure.get_suptitle()
    few = figure.axes[0]
    assert len(few.collections) == len(few.get_lines()) == 3
    assert [line.get_label() for line in few.get_lines()] == ["a", "b", r"\$c"]
    figure = draw_best_so_far(searches, "accuracy (%)", "cells")
    axis = figure.axes[0]
    assert len(axis.collections) == 0
    bars = [line for line in axis.get_lines() if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2]
    assert [bar.get_ydata() for bar in bars] == [pytest.approx([4, 12])] * 4


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
    tau = findings.groups[0].correlations["score_init"].kendall_tau
    assert f"Kendall tau {tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}] (95 %), n = 12" in first.get_title()
    networks = {network.canonical: network for network in run.groups[0].networks}
    for container, number in zip(first.containers, range(1, 13), strict=True):
        (x,), (y,) = container[0].get_data()
        network = networks[f"c{number}"]
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
    assert "grey: training failed" in figure.get_suptitle().replace("\n", " ")
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
