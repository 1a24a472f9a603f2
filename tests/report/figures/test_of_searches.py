"""What figures of a search show, against its ranking and known accuracies."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import kendalltau

from naswot_lightning.analysis.evidence import correlations, judge
from naswot_lightning.analysis.trajectory import Curve, band_of
from naswot_lightning.benchmarks.targets import Target
from naswot_lightning.columns import Column, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import no_rows, rank
from naswot_lightning.report.figures import save_figure, style
from naswot_lightning.report.figures.bars import draw_figure4
from naswot_lightning.report.figures.boxes import draw_distribution
from naswot_lightning.report.figures.curves import draw_best_so_far
from naswot_lightning.report.figures.scatter import draw_figure3, draw_score_vs_params
from naswot_lightning.report.findings import find
from naswot_lightning.report.networks import networks_with_accuracy
from naswot_lightning.report.run import BenchmarkEvidence, Run, read_benchmark_evidence, read_run
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow
from tests.report.run_folders import write_noisy
from tests.runs import training_result

SETTINGS = {"space": "nasbench201", "dataset": "digits", "seed": 7, "score": "naswot", "evaluator": "scores"}
NASWOT, MECO = (Criterion((Column(name, name),)) for name in ("naswot", "meco"))
TABLE = BenchmarkEvidence(
    networks=0, candidates=30, pick=None, best_candidate=None, best=None, correlations=correlations([], "test_acc"),
    verdict=judge([]), benchmark="mine", target=Target("cifar10", "test", 108),
)  # fmt: skip


def candidate(number, score, params, status="ok", **more):
    name = f"c{number}"
    scores = {"naswot": score, **more}
    return ScoreRow("nasbench201", name, name, score, scores, 10, params, 5, 7, "", 0.1, status, None)


def run_of(rows, results=(), **settings):
    return Run("run", {**SETTINGS, **settings}, rank(rows, [NASWOT]), tuple(results), (), {})


def invented(count=40, failed=3):
    rng = np.random.default_rng(0)
    rows = [candidate(number, 1000.0 + 10 * rng.random(), 500_000 + number) for number in range(count)]
    return [*rows, *(candidate(1000 + number, None, 5, "degenerate") for number in range(failed))]


def test_score_vs_params_points_are_candidates_and_picks_are_marked():
    rows = invented()
    run = run_of(rows, [training_result(3), training_result(3, seed=1), training_result(8)])
    figure = draw_score_vs_params(run, None)
    (axis,) = figure.axes
    others, picks = axis.lines
    scores = {row.params / 1e6: row.score for row in rows if row.status == "ok"}
    assert dict(zip(*picks.get_data(), strict=True)) == {0.500003: rows[3].score, 0.500008: rows[8].score}
    assert dict(zip(*others.get_data(), strict=True)) | dict(zip(*picks.get_data(), strict=True)) == scores
    assert figure.get_suptitle() == "nasbench201 on digits, seed 7, n = 40 of 43 candidates; left out 3 degenerate"
    assert axis.get_ylabel() == "score: naswot"
    ranks = run.ranking.loc[run.ranking["canonical"].isin(["c3", "c8"]), "rank"].tolist()
    assert picks.get_label() == f"2 trained picks (rank {ranks[0]}, {ranks[1]})"
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
        for run in (run_of([candidate(1, None, 5, "failed")]), Run("run", {}, no_rows(), (), (), {})):
            assert draw(run, None) is None


def test_names_of_scores_and_files_are_shown_as_they_are(tmp_path):
    figure = draw_score_vs_params(run_of(invented(), space="$\\frac{$x" * 40, score="$y"), None)
    save_figure(figure, tmp_path / "drawn.png")  # no formula
    assert style.plain("$y") in figure.axes[0].get_ylabel()


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
    return Run("run", settings, ranking, (), (), {}, benchmark=TABLE), rows, 100 * accuracies


def test_figure3_panel_shows_networks_with_a_score_and_an_accuracy(tabled):
    run, rows, accuracies = tabled
    figure = draw_figure3(run, None)
    first, second, _ = figure.axes  # and the colour bar
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
    naswot = np.array([-1.0 if row.scores["naswot"] is None else row.scores["naswot"] for row in rows])
    values = {
        "naswot": naswot,
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
    rows = [candidate(number, 100.0 - number, 1000) for number in range(1, 5)]
    ranked = Run("run", SETTINGS, rank(rows, [NASWOT]), run.results, run.groups, run.trajectories)
    found = networks_with_accuracy(ranked)
    assert found.accuracies.tolist() == pytest.approx([100 * network.mean("test_acc") for network in networks])
    by_name = dict(zip(found.architectures, found.scores["naswot"].tolist(), strict=True))
    assert [by_name[f"c{number}"] for number in range(1, 5)] == [99.0, 98.0, 97.0, 96.0]
    assert np.isnan([by_name["c5"], by_name["c6"]]).all()
    assert found.source == "digits test accuracy (test) of trained picks, 3 epochs, mean of 2 seeds"
    assert draw_figure3(ranked, find(ranked)).axes[0].get_title().endswith("n = 4; 2 without a score")


def test_benchmark_evidence_names_its_table_or_is_damaged(tmp_path):
    path = tmp_path / "benchmark_evidence.json"
    assert read_benchmark_evidence(path) is None
    path.write_text(json.dumps(asdict(TABLE)))
    assert read_benchmark_evidence(path) == TABLE
    for content in ("[]", '{"benchmark": "x"}', '{"target": 1}', "nonsense", '{"target": {}}'):
        path.write_text(content)
        with pytest.raises(UserError, match=r"benchmark_evidence\.json is damaged"):
            read_benchmark_evidence(path)


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
    untimed = {"rea": [curve([1.0, 2.0])] * 3, "bohb": [curve([1.0, 2.0, 3.0], seconds=0.0)] * 2}
    figure = draw_best_so_far(untimed, "accuracy (%)", "cells")
    assert len(figure.axes) == 1
    assert "n = 2 to 3 seeds" in figure.get_suptitle()
