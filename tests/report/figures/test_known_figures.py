"""Figures 3 and 4 of a run: its scores against a table's accuracies, or those of its picks."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import kendalltau

from naswot_lightning.analysis.evidence import correlations, judge
from naswot_lightning.benchmarks.targets import Target
from naswot_lightning.columns import Column, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import no_rows, rank
from naswot_lightning.report.figures.bars import draw_figure4
from naswot_lightning.report.figures.scatter import draw_figure3
from naswot_lightning.report.findings import find
from naswot_lightning.report.networks import networks_with_accuracy
from naswot_lightning.report.run import BenchmarkEvidence, Run, read_benchmark_evidence, read_run
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow
from tests.report.figures.test_search_figures import SETTINGS
from tests.report.run_folders import write_noisy

TABLE = BenchmarkEvidence(
    networks=0, candidates=30, pick=None, best_candidate=None, best=None, correlations=correlations([], "test_acc"),
    verdict=judge([]), benchmark="mine", target=Target("cifar10", "test", 108),
)  # fmt: skip
CRITERIA = [Criterion((Column(name, name),)) for name in ("naswot", "meco")]


def scored(number, naswot, meco, params):
    name, status = f"c{number}", "ok" if naswot is not None else "degenerate"
    scores = {"naswot": naswot, "meco": meco}
    return ScoreRow("nasbench201", name, name, naswot, scores, 10, params, 5 * params, 7, "", 0.1, status, None)


@pytest.fixture
def tabled():
    """A run of 30 candidates: one without naswot, one whose accuracy the table does not know."""
    rng = np.random.default_rng(0)
    rows = [scored(number, number + 5 * rng.random(), rng.random(), 1000 + number) for number in range(29)]
    rows.append(scored(29, None, 0.5, 999))
    accuracies = np.array([0.5 + 0.01 * number for number in range(29)] + [0.1])
    accuracies[4] = np.nan
    settings = {**SETTINGS, "score": "naswot,meco", "benchmark": "mine.csv"}
    ranking = rank(rows, CRITERIA, {"benchmark_acc": accuracies})
    run = Run("run", settings, ranking, (), (), {}, benchmark=TABLE)
    return run, rows, 100 * accuracies


def test_a_panel_a_score_shows_each_network_with_a_score_and_an_accuracy(tabled):
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
    assert second.get_title().endswith("n = 29")
    assert figure.get_suptitle().replace("\n", " ") == (
        "nasbench201, scored on digits, n = 29 networks; accuracy of mine, cifar10 test, 108 epochs"
    )
    colors = sorted(first.collections[0].get_array().tolist())
    assert colors == pytest.approx(sorted(row.params / 1e6 for n, row in enumerate(rows) if n not in (4, 29)))


def test_bars_are_the_taus_and_a_missing_score_is_the_worst(tabled):
    run, rows, accuracies = tabled
    figure = draw_figure4(run, None)
    bars = {container.get_label(): container[0].get_height() for container in figure.axes[0].containers[::2]}
    kept = ~np.isnan(accuracies)
    naswot = np.array([-1.0 if row.scores["naswot"] is None else row.scores["naswot"] for row in rows])
    expected = {
        "naswot": kendalltau(naswot[kept], accuracies[kept]).statistic,
        "meco": kendalltau(np.array([row.scores["meco"] for row in rows])[kept], accuracies[kept]).statistic,
        "params": kendalltau(np.array([row.params for row in rows])[kept], accuracies[kept]).statistic,
    }
    assert bars == pytest.approx(expected | {"macs": expected["params"]})
    assert figure.axes[0].get_ylabel().endswith("n = 29")


def test_bars_are_told_apart_without_colours(tabled):
    patches = [container[0] for container in draw_figure4(tabled[0], None).axes[0].containers[::2]]
    assert len({patch.get_hatch() for patch in patches}) == 4


def test_accuracies_of_picks_are_means_over_seeds_beside_the_score_that_ranked_them(tmp_path):
    write_noisy(tmp_path, 6, seeds=(0, 1))
    run = read_run(RunFolder(tmp_path))
    found = networks_with_accuracy(run)
    networks = run.groups[0].networks
    assert found.scores["naswot"].tolist() == [network.mean("score_init") for network in networks]
    rows = [scored(number, 100.0 - number, 1.0, 1000) for number in range(1, 5)]
    ranked = Run("run", SETTINGS, rank(rows, CRITERIA[:1]), run.results, run.groups, run.trajectories)
    found = networks_with_accuracy(ranked)
    assert found.accuracies.tolist() == pytest.approx([100 * network.mean("test_acc") for network in networks])
    by_name = dict(zip(found.architectures, found.scores["naswot"].tolist(), strict=True))
    assert [by_name[f"c{number}"] for number in range(1, 5)] == [99.0, 98.0, 97.0, 96.0]
    assert np.isnan([by_name["c5"], by_name["c6"]]).all()
    assert found.source == "digits test accuracy (test) of trained picks, 3 epochs, mean of 2 seeds"
    title = draw_figure3(ranked, find(ranked)).axes[0].get_title()
    assert title.endswith("n = 4; 2 without a score")


def test_nothing_is_drawn_where_no_accuracy_is_known():
    rows = [scored(number, 100.0 - number, 1.0, 1000) for number in range(5)]
    for ranking in (rank(rows, CRITERIA), no_rows()):
        run = Run("run", SETTINGS, ranking, (), (), {})
        assert networks_with_accuracy(run) is draw_figure3(run, None) is draw_figure4(run, None) is None


def test_benchmark_evidence_names_its_table_or_is_damaged(tmp_path):
    path = tmp_path / "benchmark_evidence.json"
    assert read_benchmark_evidence(path) is None
    path.write_text(json.dumps(asdict(TABLE)))
    assert read_benchmark_evidence(path) == TABLE
    assert TABLE.source == "mine, cifar10 test, 108 epochs"
    for content in ("[]", '{"benchmark": "x"}', '{"target": 1}', "nonsense", '{"target": {}}'):
        path.write_text(content)
        with pytest.raises(UserError, match=r"benchmark_evidence\.json is damaged"):
            read_benchmark_evidence(path)
