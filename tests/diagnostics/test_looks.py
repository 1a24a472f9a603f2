"""Kernels and correlations of a run's networks: those of its search, kept, and refused where they are damaged."""

import json
import zipfile

import numpy as np
import pytest
import torch

from naswot_lightning.analysis.measurements import read_similarities, similarities_path
from naswot_lightning.data.probe import load_probe
from naswot_lightning.diagnostics import similarities
from naswot_lightning.diagnostics.similarities import in_ranges
from naswot_lightning.errors import UserError
from naswot_lightning.networks import build_network
from naswot_lightning.report.figures.matrices import draw_jacobians, draw_kernels
from naswot_lightning.report.run import read_run
from naswot_lightning.storage.run_folder import RunFolder
from spaces import get_space
from tests.diagnostics.runs import BATCH, NAMES, report


def no_network(*arguments):
    raise AssertionError("a network was built")


@pytest.mark.parametrize("seed", [0, 1])
def test_ranges_hold_equal_shares_in_the_order_of_accuracy(seed):
    accuracies = np.random.default_rng(2).permutation(np.arange(100.0))
    ranges = in_ranges(accuracies, seed)
    values = [[accuracies[place] for place in places] for places in ranges]
    assert [len(places) for places in ranges] == [3] * 5
    assert all(20 * column <= value < 20 * column + 20 for column, own in enumerate(values) for value in own)
    assert values == [sorted(own) for own in values]
    assert ranges == in_ranges(accuracies, seed) != in_ranges(accuracies, seed + 2)
    assert in_ranges(np.array([3.0, 1.0]), seed) == [[1], [0]]


def test_kernels_are_those_that_the_search_scored(run, capsys):
    assert report(run, "--figure", "figure1") == 0
    assert capsys.readouterr().out == f"figure1: {run / 'figures' / 'figure1.png'}\n"
    found = read_similarities(run, "kernels")
    ranking = {row["canonical"]: row for row in json.loads((run / "ranking.json").read_text())}
    assert len(found.matrices) == 4
    assert found.metadata.accuracies == tuple(60.0 + NAMES.index(name) for name in found.metadata.architectures)
    for name, matrix in zip(found.metadata.architectures, found.matrices, strict=True):
        assert matrix.shape == (BATCH, BATCH)
        assert matrix.diagonal().tolist() == [1.0] * BATCH
        kernel = np.rint(matrix.astype(float) * ranking[name]["n_units"])
        assert np.linalg.slogdet(kernel).logabsdet == pytest.approx(ranking[name]["score"], rel=1e-9)


def test_correlations_are_those_of_the_jacobians_rows(measured):
    found = read_similarities(measured, "jacobians")
    probe = load_probe("digits", "data", BATCH, 3)
    name = found.metadata.architectures[-1]
    network = build_network(get_space("nats_size"), name, 3, probe.num_classes)
    for module in network.modules():
        module.train(isinstance(module, torch.nn.BatchNorm2d))
    images = probe.augmented.clone().requires_grad_()
    logits = network(images)
    (logits[0] if isinstance(logits, tuple) else logits).sum().backward()
    expected = np.corrcoef(images.grad.flatten(1).double().numpy())
    assert found.matrices[-1] == pytest.approx(expected, abs=1e-3)


def test_a_picture_is_drawn_again_from_what_is_kept(measured, monkeypatch):
    run = measured
    assert report(run, "--figure", "figure1,jacobian_histograms") == 0
    drawn = {name: (run / "figures" / f"{name}.png").read_bytes() for name in ("figure1", "jacobian_histograms")}
    kept = {kind: similarities_path(run, kind).read_bytes() for kind in ("kernels", "jacobians")}
    with monkeypatch.context() as patched:
        patched.setattr(similarities, "build_network", no_network)
        assert report(run, "--figure", "figure1,jacobian_histograms") == 0
    assert {name: (run / "figures" / f"{name}.png").read_bytes() for name in drawn} == drawn
    for kind in kept:
        similarities_path(run, kind).unlink()
    assert report(run, "--figure", "figure1,jacobian_histograms") == 0
    assert {kind: similarities_path(run, kind).read_bytes() for kind in kept} == kept


def test_what_belongs_to_other_accuracies_is_measured_again(measured):
    rows = json.loads((measured / "ranking.json").read_text())
    rows[0]["benchmark_acc"] = 0.25
    (measured / "ranking.json").write_text(json.dumps(rows))
    assert report(measured, "--figure", "figure1") == 0
    assert 25.0 in read_similarities(measured, "kernels").metadata.accuracies


def test_panels_show_the_matrices_under_their_accuracies(measured):
    whole = read_run(RunFolder(measured))
    greys, bars = draw_kernels(whole, None), draw_jacobians(whole, None)
    shown = [axis for axis in greys.axes if axis.images]
    by_title = {axis.get_title().splitlines()[-1]: axis.images[0] for axis in shown}
    assert {image.get_clim() for image in by_title.values()} == {(float(whole.kernels.matrices.min()), 1.0)}
    for accuracy, matrix in zip(whole.kernels.metadata.accuracies, whole.kernels.matrices, strict=True):
        assert (by_title[f"{accuracy:.2f} %"].get_array() == matrix).all()
    title = greys.get_suptitle().replace("\n", " ")
    assert "nats_size, 8 images of digits, seed 3; 4 of n = 4 networks, by accuracy of table" in title
    pairs = BATCH * (BATCH - 1) // 2
    assert [sum(bar.get_height() for bar in axis.patches) for axis in bars.axes if axis.get_visible()] == [pairs] * 4


def test_without_accuracies_one_line_says_what_is_missing(run, capsys):
    rows = json.loads((run / "ranking.json").read_text())
    (run / "ranking.json").write_text(json.dumps([{**row, "benchmark_acc": None} for row in rows]))
    assert report(run, "--figure", "figure1") == 2
    error = capsys.readouterr().err
    assert "figure1: no accuracy is known in" in error
    assert error.endswith("--top 10 --select spread\n")
    assert error.count("\n") == 1
    assert not (run / "measured").exists()
    assert report(run, "--figure", "figure1,score_vs_params") == 0  # the other is drawn
    assert "no accuracy is known" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["kernels", "jacobians"])
def test_a_damaged_file_is_one_line_with_the_cure(measured, kind):
    path = similarities_path(measured, kind)
    whole = path.read_bytes()
    other = similarities_path(measured, "jacobians" if kind == "kernels" else "kernels")
    other.write_bytes(whole)  # of another kind than its name says
    with pytest.raises(UserError, match="is damaged"):
        read_similarities(measured, other.stem)
    for content in (b"", b"nothing", whole[: len(whole) // 2], whole[:-40]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"{kind}\.npz is damaged, .*; remove the file"):
            read_similarities(measured, kind)


def test_matrices_of_another_shape_are_refused(measured):
    found = read_similarities(measured, "kernels")
    path = similarities_path(measured, "kernels")
    for matrices in (found.matrices[:-1], found.matrices[:, 1:], np.full_like(found.matrices, np.nan)):
        type(found)(found.metadata, matrices).write(path)
        with pytest.raises(UserError, match="other matrices than it names"):
            read_similarities(measured, "kernels")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", b"x")
    with pytest.raises(UserError, match="is damaged"):
        read_run(RunFolder(measured))
