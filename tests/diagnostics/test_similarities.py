"""Kernels and correlations of a run's networks: those of its search, kept, and refused where they are damaged."""

import json

import numpy as np
import pytest
import torch

from naswot_lightning.analysis.measurements import read_similarities, similarities_path
from naswot_lightning.data.probe import load_probe
from naswot_lightning.diagnostics import measure
from naswot_lightning.diagnostics.measure import in_ranges
from naswot_lightning.networks import build_network
from naswot_lightning.report.figures.distributions import draw_jacobians, draw_kernels
from naswot_lightning.report.run import read_run
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


def test_kernels_are_those_that_the_search_scored(measured):
    found = read_similarities(measured, "kernels")
    ranking = {row["canonical"]: row for row in json.loads((measured / "ranking.json").read_text())}
    assert len(found.matrices) == 3
    assert found.metadata.accuracies == tuple(60.0 + NAMES.index(name) for name in found.metadata.architectures)
    for name, matrix in zip(found.metadata.architectures, found.matrices, strict=True):
        assert matrix.shape == (BATCH, BATCH)
        assert matrix.diagonal().tolist() == [1.0] * BATCH
        kernel = np.rint(matrix.astype(float) * ranking[name]["n_units"])
        assert np.linalg.slogdet(kernel).logabsdet == pytest.approx(ranking[name]["score"], rel=1e-9)


def test_correlations_are_those_of_the_jacobians_rows(measured):
    found = read_similarities(measured, "jacobians")
    probe = load_probe("digits", "data", BATCH, 3)
    network = build_network(get_space("nats_size"), found.metadata.architectures[-1], 3, probe.num_classes)
    for module in network.modules():
        module.train(isinstance(module, torch.nn.BatchNorm2d))
    images = probe.augmented.clone().requires_grad_()
    logits = network(images)
    (logits[0] if isinstance(logits, tuple) else logits).sum().backward()
    expected = np.corrcoef(images.grad.flatten(1).double().numpy())
    assert found.matrices[-1] == pytest.approx(expected, abs=1e-3)


def test_a_figure_is_drawn_again_from_what_is_kept(copy, monkeypatch):
    figure, file = copy / "figures" / "figure1.png", similarities_path(copy, "kernels")
    drawn, kept = figure.read_bytes(), file.read_bytes()
    file.unlink()
    assert report(copy, "--figure", "figure1") == 0
    assert (figure.read_bytes(), file.read_bytes()) == (drawn, kept)
    figure.unlink()
    monkeypatch.setattr(measure, "build_network", None)
    assert report(copy) == 0
    assert figure.read_bytes() == drawn


def test_panels_show_the_matrices_under_their_accuracies(measured):
    whole = read_run(RunFolder(measured))
    greys, bars = draw_kernels(whole, None), draw_jacobians(whole, None)
    shown = [axis for axis in greys.axes if axis.images]
    by_title = {axis.get_title().splitlines()[-1]: axis.images[0] for axis in shown}
    assert {image.get_clim() for image in by_title.values()} == {(float(whole.kernels.matrices.min()), 1.0)}
    for accuracy, matrix in zip(whole.kernels.metadata.accuracies, whole.kernels.matrices, strict=True):
        assert (by_title[f"{accuracy:.2f} %"].get_array() == matrix).all()
    title = greys.get_suptitle().replace("\n", " ")
    assert "nats_size, 8 images of digits, seed 3; 3 of n = 3 networks, by accuracy of table" in title
    pairs = BATCH * (BATCH - 1) // 2
    assert [sum(bar.get_height() for bar in axis.patches) for axis in bars.axes if axis.get_visible()] == [pairs] * 3


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


def test_networks_without_a_matrix_are_left_out_and_counted(copy, unsaved, monkeypatch):
    similarities_path(copy, "kernels").unlink()
    compute, seen = measure._matrix, []
    monkeypatch.setattr(measure, "_matrix", lambda *of: seen.append(of) or (compute(*of) if seen[1:] else None))
    assert report(copy, "--figure", "figure1") == 0
    found = read_similarities(copy, "kernels").metadata
    assert (found.left_out, len(found.architectures)) == (1, 2)
