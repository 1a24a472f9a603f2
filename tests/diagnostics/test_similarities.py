"""Kernels and correlations of a run's networks: those of its search."""

import json

import numpy as np
import pytest
import torch

from naswot_lightning.data.probe import load_probe
from naswot_lightning.diagnostics import measure
from naswot_lightning.diagnostics.measure import in_ranges, measure_for_figure
from naswot_lightning.networks import build_network
from naswot_lightning.report.figures.distributions import draw_jacobians, draw_kernels
from naswot_lightning.report.run import read_run
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.spaces import get_space
from naswot_lightning.storage.run_folder import RunFolder
from tests.diagnostics.runs import BATCH, NAMES, report


def test_ranges_hold_equal_shares_in_the_order_of_accuracy():
    accuracies = np.random.default_rng(2).permutation(np.arange(100.0))
    for seed in (0, 1):
        ranges = in_ranges(accuracies, seed)
        values = [[accuracies[index] for index in indices] for indices in ranges]
        assert [len(indices) for indices in ranges] == [3] * 5
        assert all(20 * column <= value < 20 * column + 20 for column, own in enumerate(values) for value in own)
        assert values == [sorted(own) for own in values]
        assert ranges == in_ranges(accuracies, seed) != in_ranges(accuracies, seed + 2)
        assert in_ranges(np.array([3.0, 1.0]), seed) == [[1], [0]]


def with_figure(folder, figure):
    return measure_for_figure(figure, RunFolder(folder), read_run(RunFolder(folder)), ReportConfig([str(folder)]))


def test_kernels_are_those_that_the_search_scored(measured):
    run = with_figure(measured, "figure1")
    found, ranking = run.kernels, json.loads((measured / "ranking.json").read_text())
    assert (found.ranges, len(found.matrices)) == ((0, 1, 2), 3)
    rows = {60.0 + NAMES.index(row["canonical"]): row for row in ranking}
    for accuracy, matrix in zip(found.accuracies, found.matrices, strict=True):
        assert matrix.shape == (BATCH, BATCH)
        assert matrix.diagonal().tolist() == [1.0] * BATCH
        kernel = np.rint(matrix.astype(float) * rows[accuracy]["n_units"])
        assert np.linalg.slogdet(kernel).logabsdet == pytest.approx(rows[accuracy]["score"], rel=1e-9)
    figure = draw_kernels(run, None)
    shown = {axis.get_title().splitlines()[-1]: axis.images[0] for axis in figure.axes if axis.images}
    assert {image.get_clim() for image in shown.values()} == {(float(found.matrices.min()), 1.0)}
    for accuracy, matrix in zip(found.accuracies, found.matrices, strict=True):
        assert (shown[f"{accuracy:.2f} %"].get_array() == matrix).all()
    title = figure.get_suptitle().replace("\n", " ")
    assert "nats_size, 8 images of digits, seed 3; 3 of n = 3 networks, by accuracy of table" in title


def test_correlations_are_those_of_the_jacobians_rows(measured):
    run = with_figure(measured, "jacobian_histograms")
    probe = load_probe("digits", "data", BATCH, 3)
    network = build_network(get_space("nats_size"), NAMES[-1], 3, probe.num_classes)
    for module in network.modules():
        module.train(isinstance(module, torch.nn.BatchNorm2d))
    images = probe.augmented.clone().requires_grad_()
    logits = network(images)
    (logits[0] if isinstance(logits, tuple) else logits).sum().backward()
    expected = np.corrcoef(images.grad.flatten(1).double().numpy())
    assert run.jacobians.matrices[-1] == pytest.approx(expected, abs=1e-3)
    axes, pairs = draw_jacobians(run, None).axes, BATCH * (BATCH - 1) // 2
    assert [sum(bar.get_height() for bar in axis.patches) for axis in axes if axis.get_visible()] == [pairs] * 3


def test_without_accuracies_one_line_says_what_is_missing(copy, capsys):
    rows = json.loads((copy / "ranking.json").read_text())
    (copy / "ranking.json").write_text(json.dumps([{**row, "benchmark_acc": None} for row in rows]))
    assert report(copy, "--figure", "figure1") == 2
    error = capsys.readouterr().err
    assert "figure1: no accuracy is known in" in error
    assert error.endswith("--top 10 --select spread\n")
    assert error.count("\n") == 1
    assert report(copy, "--figure", "figure1,score_vs_params") == 0  # the other is drawn
    assert "no accuracy is known" in capsys.readouterr().out


def test_networks_without_a_matrix_are_left_out_and_counted(measured, monkeypatch):
    kernels = iter([None, torch.eye(BATCH), torch.eye(BATCH)])
    monkeypatch.setattr(measure, "_normalised_kernel", lambda measured: next(kernels))
    found = with_figure(measured, "figure1").kernels
    assert (found.accuracies, "2 of n = 3 networks, 1 left out" in found.title) == ((61.0, 62.0), True)
