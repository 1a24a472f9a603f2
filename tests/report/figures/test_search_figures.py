"""What figures of a search show, against its ranking."""

import numpy as np
import pytest

from naswot_lightning.columns import Column, Criterion
from naswot_lightning.ranking import no_rows, rank
from naswot_lightning.report.figures import save_figure, style
from naswot_lightning.report.figures.boxes import draw_distribution
from naswot_lightning.report.figures.scatter import draw_score_vs_params
from naswot_lightning.report.run import Run
from naswot_lightning.storage.score_rows import ScoreRow
from tests.runs import training_result

SETTINGS = {"space": "nasbench201", "dataset": "digits", "seed": 7, "score": "naswot", "evaluator": "scores"}
NASWOT = Criterion((Column("naswot", "naswot"),))


def candidate(number, score, params, status="ok"):
    name = f"c{number}"
    return ScoreRow("nasbench201", name, name, score, {"naswot": score}, 10, params, 5, 7, "", 0.1, status, None)


def run_of(rows, results=(), **settings):
    return Run("run", {**SETTINGS, **settings}, rank(rows, [NASWOT]), tuple(results), (), {})


def invented(count=40, failed=3):
    rng = np.random.default_rng(0)
    rows = [candidate(number, 1000.0 + 10 * rng.random(), 500_000 + number) for number in range(count)]
    return [*rows, *(candidate(1000 + number, None, 5, "degenerate") for number in range(failed))]


def test_points_are_the_candidates_and_the_picks_are_marked():
    rows = invented()
    run = run_of(rows, [training_result(3), training_result(3, seed=1), training_result(8)])
    figure = draw_score_vs_params(run, None)
    (axis,) = figure.axes
    others, picks = axis.lines
    scores = {row.params / 1e6: row.score for row in rows if row.status == "ok"}
    assert dict(zip(*picks.get_data(), strict=True)) == {0.500003: rows[3].score, 0.500008: rows[8].score}
    shown = dict(zip(*others.get_data(), strict=True)) | dict(zip(*picks.get_data(), strict=True))
    assert shown == scores
    assert len(others.get_xdata()) == 38
    assert figure.get_suptitle() == "nasbench201 on digits, seed 7, n = 40 of 43 candidates; left out 3 degenerate"
    assert axis.get_title().startswith("Kendall tau of score and parameters ")
    ranks = run.ranking.loc[run.ranking["canonical"].isin(["c3", "c8"]), "rank"].tolist()
    assert picks.get_label() == f"2 trained picks (rank {ranks[0]}, {ranks[1]})"
    assert picks.get_marker() != others.get_marker()  # told apart in grey
    assert axis.get_ylabel() == "score: naswot"


def test_without_picks_the_first_of_the_ranking_is_marked():
    run = run_of(invented())
    picks = draw_score_vs_params(run, None).axes[0].lines[1]
    assert picks.get_ydata().tolist() == run.ranking["score"][:1].tolist()
    assert picks.get_label() == "first of the ranking"


def test_a_pick_of_another_space_is_none_of_the_candidates():
    run = run_of(invented(), [training_result(3, space="nasbench101")])
    assert draw_score_vs_params(run, None).axes[0].lines[1].get_label() == "first of the ranking"


def test_the_correlation_with_size_is_that_of_the_points():
    rows = [candidate(number, float(number), 100 - number) for number in range(9)]
    assert draw_score_vs_params(run_of(rows), None).axes[0].get_title().endswith("parameters -1.00")
    missing = [*rows, candidate(50, 3.0, None)]
    assert draw_score_vs_params(run_of(missing), None).axes[0].get_title().endswith("-1.00, 1 more of unknown size")


def test_axes_are_logarithmic_where_values_are_far_apart():
    near = [candidate(number, 100.0 + number, 1000 + number) for number in range(5)]
    far = [candidate(number, 10.0**number, 10**number) for number in range(5)]
    scales = [
        [axis.get_xscale(), axis.get_yscale()]
        for rows in (near, far)
        for axis in draw_score_vs_params(run_of(rows), None).axes
    ]
    assert scales == [["linear", "linear"], ["log", "log"]]
    (axis,) = draw_distribution(run_of(far), None).axes
    assert axis.get_xscale() == "log"
    assert sum(bar.get_height() for bar in axis.patches) == 5


def test_the_histogram_counts_every_score_and_ticks_the_picks():
    rows = invented()
    figure = draw_distribution(run_of(rows, [training_result(3), training_result(8)]), None)
    (axis,) = figure.axes
    scores = np.array([row.score for row in rows if row.status == "ok"])
    edges = [bar.get_x() for bar in axis.patches]
    assert [bar.get_height() for bar in axis.patches] == np.histogram(scores, [*edges, scores.max()])[0].tolist()
    ticks = sorted(segment[0][0] for segment in axis.collections[0].get_segments())
    assert ticks == pytest.approx(sorted([rows[3].score, rows[8].score]))
    assert figure.get_suptitle().endswith("n = 40 of 43 candidates; left out 3 degenerate")


def test_equal_scores_have_one_bar():
    (axis,) = draw_distribution(run_of([candidate(number, 5.0, 1000) for number in range(4)]), None).axes
    assert [bar.get_height() for bar in axis.patches] == [4]


def test_nothing_is_drawn_where_nothing_has_a_score():
    for draw in (draw_score_vs_params, draw_distribution):
        assert draw(run_of([candidate(1, None, 5, "failed")]), None) is None
        assert draw(Run("run", {}, no_rows(), (), (), {}), None) is None


def test_the_score_has_its_name_also_where_it_is_an_accuracy():
    rows = invented()
    both = draw_score_vs_params(run_of(rows, score="jacob_cov+params, naswot"), None)
    assert both.axes[0].get_ylabel() == "score: jacob_cov+params"
    trained = draw_score_vs_params(run_of(rows, evaluator="train"), None)
    assert trained.axes[0].get_ylabel() == "score: validation accuracy (a share)"


def test_names_of_a_file_are_no_formulas(tmp_path):
    figure = draw_score_vs_params(run_of(invented(), space="$\\frac{$x" * 40, score="$y"), None)
    save_figure(figure, tmp_path / "drawn.png")
    assert style.plain("$y") in figure.axes[0].get_ylabel()
