"""Figure 5 of a run: the ways, what is kept of them, and that a killed command goes on."""

import json
import math

import numpy as np
import pytest

from naswot_lightning.analysis.measurements import ABLATIONS, ablation_path, read_ablation
from naswot_lightning.diagnostics import ablation
from naswot_lightning.diagnostics.ablation import select_best
from naswot_lightning.errors import UserError
from naswot_lightning.report.figures.boxes import draw_figure5
from naswot_lightning.report.run import read_run
from naswot_lightning.storage.run_folder import RunFolder
from tests.diagnostics.runs import BATCH, FEW, NAMES, report


def test_the_networks_of_the_figure_are_scored_in_every_way(measured):
    run = measured
    kept = read_ablation(ablation_path(run))
    assert [each.architecture for each in kept.header.networks] == NAMES
    assert len(kept.samples) == 4 * 2 * (3 + 2)
    scores = {}
    for sample in kept.samples:
        scores.setdefault((sample.ablation, sample.network.architecture, sample.batch_size), []).append(sample.score)
    ranking = {row["canonical"]: row["score"] for row in json.loads((run / "ranking.json").read_text())}
    for name in NAMES:
        batches, noise, weights, sizes = (scores[ablation, name, BATCH] for ablation in ABLATIONS)
        assert batches[0] == weights[0] == ranking[name]  # the search's own mini-batch and weights
        assert batches == sizes  # of the same size
        assert len({*batches, *noise, *weights}) == 5
    figure = draw_figure5(read_run(RunFolder(run)), None)
    assert "nats_size, n = 4 networks, 2 scores each way, 8 images of digits, seeds 3 to 4" in figure.get_suptitle()
    first = figure.axes[0]
    medians = [line.get_ydata()[0] for line in first.lines if line.get_linewidth() == 1.6]
    assert medians == pytest.approx([np.median(scores["mini-batches", name, BATCH]) for name in NAMES])


def test_a_killed_command_goes_on_where_it_was(measured, monkeypatch):
    run = measured
    path = ablation_path(run)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:8]) + lines[8][:-7])  # a last line that was cut off
    done = []
    draw = ablation._draw
    monkeypatch.setattr(ablation, "_draw", lambda condition, *rest: done.append(condition) or draw(condition, *rest))
    assert report(run, *FEW) == 0
    assert path.read_bytes() == whole
    assert len(done) == len(lines) - 8
    assert report(run, *FEW) == 0
    assert len(done) == len(lines) - 8  # all is there
    assert report(run, *FEW[:2], "--samples", "3", "--batch_sizes", "4") == 0
    assert path.read_bytes().startswith(whole)
    assert len(done) == len(lines) - 8 + 4  # of the third sample


def test_scores_of_other_settings_are_not_mixed(measured, capsys):
    run = measured
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(f"batch_size: {BATCH}", "batch_size: 6"))
    before = ablation_path(run).read_bytes()
    assert report(run, *FEW) == 2
    error = capsys.readouterr().err
    assert "batch_size was 8, now 6; use --overwrite to measure anew" in error
    assert ablation_path(run).read_bytes() == before
    assert report(run, *FEW[:2], "--samples", "2", "--batch_sizes", "4", "--overwrite") == 0
    assert {each.batch_size for each in read_ablation(ablation_path(run)).samples if each.ablation == "noise"} == {6}


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, {"networks": 3}),
        (0, {"seed": -1}),
        (1, {"ablation": "other"}),
        (1, {"scores": [1.0]}),
        (1, {"scores": [math.inf] * 4}),
        (2, {"number": "1"}),
    ],
)
def test_a_damaged_line_is_named(measured, place, change):
    path = ablation_path(measured)
    lines = path.read_text().splitlines()
    lines[place] = json.dumps({**json.loads(lines[place]), **change})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=rf"ablation\.jsonl, line {place + 1}: "):
        read_run(RunFolder(measured))


def test_few_networks_are_the_best_ones_with_their_percentiles():
    accuracies = np.arange(15.0)
    chosen = select_best([f"n{number}" for number in range(15)], accuracies)
    assert [each.accuracy for each in chosen] == list(range(5, 15))
    assert [each.percentile for each in chosen] == [35, 40, 50, 55, 60, 70, 75, 85, 90, 95]
