"""Figure 5 of a run: the conditions, what is kept of them, and that a killed command goes on."""

import json

import numpy as np
import pytest

from naswot_lightning.analysis.measurements import ABLATIONS, ablation_path, read_ablation
from naswot_lightning.diagnostics import measure
from naswot_lightning.report.figures.distributions import draw_figure5
from naswot_lightning.report.run import read_run
from naswot_lightning.storage.run_folder import RunFolder
from tests.diagnostics.runs import BATCH, FEW, NAMES, report


def test_the_networks_of_the_figure_are_scored_under_every_condition(measured):
    kept = read_ablation(ablation_path(measured))
    # Of 60, 61 and 62 percent two are in the better half.
    names = NAMES[1:]
    assert [(each.percentile, each.architecture) for each in kept.header.networks] == [(50, names[0]), (95, names[1])]
    assert len(kept.samples) == 2 * 2 * (3 + 1)
    scores = {}
    for sample in kept.samples.itertuples():
        scores.setdefault((sample.ablation, names[sample.network]), []).append(sample.score)
    ranking = {row["canonical"]: row["score"] for row in json.loads((measured / "ranking.json").read_text())}
    for name in names:
        batches, noise, weights, sizes = (scores[each, name] for each in ABLATIONS)
        assert batches[0] == weights[0] == ranking[name]  # the search's own mini-batch and weights
        assert batches == sizes  # of the same size
        assert len({*batches, *noise, *weights}) == 5
    figure = draw_figure5(read_run(RunFolder(measured)), None)
    assert "nats_size, n = 2 networks, 2 scores each way, 8 images of digits, seeds 3 to 4" in figure.get_suptitle()
    medians = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linewidth() == 1.6]
    assert medians == pytest.approx([np.median(scores["mini-batches", name]) for name in names])


def test_a_killed_command_goes_on_where_it_was(copy, unsaved, monkeypatch):
    path = ablation_path(copy)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7]) + lines[7][:-7])  # a last line that was cut off
    done, evaluator = [], measure.ScoreEvaluator
    monkeypatch.setattr(measure, "ScoreEvaluator", lambda *of: done.append(of) or evaluator(*of))
    assert report(copy, *FEW) == 0
    assert path.read_bytes() == whole
    assert len(done) == len(lines) - 7
    assert report(copy, *FEW) == 0
    assert len(done) == len(lines) - 7  # all is there


def test_scores_of_other_settings_are_not_mixed(copy, unsaved, capsys):
    config, path = copy / "config.yaml", ablation_path(copy)
    config.write_text(config.read_text().replace(f"batch_size: {BATCH}", "batch_size: 6"))
    before = path.read_bytes()
    assert report(copy, *FEW) == 2
    assert "batch_size was 8, now 6; use --overwrite to measure again" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert report(copy, *FEW, "--overwrite") == 0
    samples = read_ablation(path).samples
    assert set(samples.loc[samples["ablation"] == "noise", "batch_size"]) == {6}


def test_scores_are_divided_by_the_lowest_of_their_size(measured):
    samples = read_ablation(ablation_path(measured)).samples
    own = samples[samples["ablation"] == "mini-batch sizes"]
    assert (own["relative"] * own["score"].min()).tolist() == pytest.approx(own["score"].tolist())
    assert own["relative"].min() == 1
