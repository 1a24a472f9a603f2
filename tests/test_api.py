"""The Python API: the same work as the commands, with results as objects."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import naswot_lightning as nl
from naswot_lightning.errors import UserError
from naswot_lightning.scores.base import REGISTERED
from tests.training.runs import train_here

QUIET = {"mode": "disabled"}


def small(classes, width=8):
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)
    )


@pytest.fixture(scope="module")
def ranking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api") / "run"
    options = {"space": "nats_size", "samples": 6, "batch_size": 16, "run_dir": folder, "wandb": QUIET}
    return nl.search(scores=["naswot", "params"], **options), options


def test_score_is_that_of_the_function_and_of_the_command(ranking):
    network, images = small(10).eval(), torch.randn(16, 3, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = nl.score(network, images, labels=torch.arange(16) % 10, scores=["naswot", "grad_norm", "params"])
    assert found["naswot"] == nl.naswot_score(network, images)
    assert found["params"] == 3 * 8 * 9 + 8 + 8 * 10 + 10
    assert found["grad_norm"] > 0
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    for name, said in (("grad_norm", "needs labels"), ("robust", "use rank"), ("naswto", "did you mean 'naswot'")):
        with pytest.raises(UserError, match=said):
            nl.score(network, images, scores=[name])


def test_what_is_no_score_of_the_network_is_said(monkeypatch):
    images = torch.randn(4, 3, 8, 16)
    # 6 x 14 outputs of 27 weights, and a linear layer with its bias; not of 8 x 8 or 16 x 16.
    for scores in (["macs"], ["naswot", "macs"]):
        assert nl.score(small(10, 4), images, scores=scores)["macs"] == 6 * 14 * 4 * 27 + 10 * 5
    assert math.isnan(nl.score(small(10), images * math.nan, scores=["diversity"])["diversity"])
    for labels in (torch.rand(4), torch.arange(3), np.eye(4)):
        with pytest.raises(UserError, match="expected a class index for each of the 4 images"):
            nl.score(small(10), images, labels, ["snip"])
    for call in (lambda: nl.score(small(10), [images]), lambda: nl.rank({"one": small}, (images, images))):
        with pytest.raises(TypeError, match="expected one tensor"):
            call()
    nothing = replace(REGISTERED["params"], function=lambda measured: None)
    monkeypatch.setitem(REGISTERED, "params", nothing)
    with pytest.warns(UserWarning, match="one: params: TypeError"):
        found = nl.rank({"one": small}, images, scores=["naswot", "params"])
    assert (found.best["status"], math.isnan(found.best["params"])) == ("ok", True)


def test_rank_sorts_networks_of_ones_own_by_seeded_scores():
    networks = {f"width{width}": lambda classes, width=width: small(classes, width) for width in (4, 64, 16)}
    images = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = nl.rank(networks, images, scores=["params"])
    assert found.frame["architecture"].tolist() == ["width64", "width16", "width4"]
    assert found.best["architecture"] == "width64"
    again = nl.rank(networks, images)
    assert again.frame["score"].tolist() == nl.rank(networks, images).frame["score"].tolist()
    with pytest.raises(UserError, match="no run folder"):
        nl.train(found.top(1))


def test_search_is_continued_and_equals_its_files(ranking):
    found, options = ranking
    again = nl.search(scores=["naswot", "params"], **options)
    assert again.frame.equals(found.frame)
    assert (found.run_dir / "report.html").exists()
    assert "best 6 of 6" in found.summary
    assert list(found.spread(3).frame["rank"])[::2] == [1, 6]
    for wrong, said in (
        ({"sampels": 3}, "did you mean 'samples'"), ({"samples": "many"}, "samples"), ({"batch_size": 1}, "at least 2"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            nl.search(**{**options, **wrong})


def test_train_returns_the_comparison_and_the_best_by_validation(ranking, monkeypatch):
    # In this process; the programs of the pages train in processes of their own.
    monkeypatch.setattr("naswot_lightning.api.run_training", train_here)
    found, _ = ranking
    limits = {f"limit_{part}_batches": 1 for part in ("train", "val", "test")}
    trained = nl.train(found.spread(2), epochs=1, batch_size=32, early_points=0, trainer=limits, wandb=QUIET)
    assert trained.frame["rank"].tolist() == [1, 6]
    assert trained.best.best_val_acc == trained.frame["best_val_acc"].max()
    assert "networks are too few" in trained.verdict
    assert trained.gain is None
    model = trained.load()
    assert model.classes == tuple("0123456789")
    assert len(model.predict(torch.rand(3, 3, 16, 16))) == 3
