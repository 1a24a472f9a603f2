"""Measured columns of a ranking: which, on what, kept, and what cannot be measured."""

import json

import numpy as np
import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.hardware.measure import Latency
from naswot_lightning.ranking import read_ranking
from naswot_lightning.searching import measuring
from tests.searching.runs import QUICK, SPACE, files_of


@pytest.fixture
def search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(run_dir="run", **options):
        run_search(SearchConfig(**{**QUICK, "run_dir": run_dir, **options}))
        return read_ranking(tmp_path / run_dir)

    return run


@pytest.fixture
def timed(monkeypatch):
    """The networks that were measured; their latencies are invented."""
    seen = []

    def latencies(passes, device):
        seen.extend(passes)
        return [Latency(5.0 + number, 0.5, 0.1, 20) for number in range(len(passes))]

    monkeypatch.setattr(measuring, "measure_latencies", latencies)
    return seen


def test_the_first_networks_are_measured_once_and_the_ranking_shows_it(search, timed, tmp_path, capsys):
    plain = search()
    ranking = search(measure="latency,memory", measure_top=3)
    assert ranking[list(plain)].equals(plain)
    assert ranking["latency_ms"].notna().sum() == len(timed) == 3
    assert ranking["latency_iqr_ms"].dropna().tolist() == [0.5] * 3
    state = SPACE.build(ranking["canonical"][0]).state_dict()
    assert ranking["model_mb"][0] == sum(each.nbytes for each in state.values()) / 1e6
    assert (ranking["peak_memory_mb"] > ranking["model_mb"]).all()
    out = capsys.readouterr().out
    assert "Latency of 3 networks (1 image, 1 thread, cpu, torch): the median of 20 passes, ±1.7 % (95 %)" in out
    assert "Only the first 3 of 6 were measured; --measure_top 6 measures all" in out
    before = files_of(tmp_path / "run")
    search(measure="latency,memory", measure_top=3)
    assert len(timed) == 3
    assert files_of(tmp_path / "run") == before
    search(measure="latency", measure_top=4)
    assert len(timed) == 4
    # Another setting is another latency.
    search(measure="latency", measure_top=4, latency_batch=2)
    assert len(timed) == 8
    about = json.loads((tmp_path / "run" / "hardware.json").read_text())["device"]
    assert (about["batch"], about["threads"], about["images"]) == (2, 1, [2, 3, 16, 16])


def test_latency_and_memory_are_objectives_and_memory_a_budget(search, timed):
    ranking = search(measure="latency", objectives="naswot,latency_ms", measure_top=4)
    assert (ranking["pareto_rank"].notna() == ranking["latency_ms"].notna()).all()
    small = search("small", max_memory_mb=0.6, measure="memory")
    assert (small["peak_memory_mb"] <= 0.6).all()


def test_a_network_that_cannot_be_measured_keeps_its_row_and_says_why(search, monkeypatch, capsys):
    forward = measuring.forward_pass
    broken = []

    def fail_once(network, images, device):
        if not broken:
            broken.append(network)
            raise RuntimeError("no kernel for this")
        return forward(network, images, device)

    monkeypatch.setattr(measuring, "forward_pass", fail_once)
    ranking = search(measure="latency", samples=3)
    assert np.isnan(ranking["latency_ms"][0])
    assert ranking["latency_ms"][1:].gt(0).all()
    assert "1 network not measured, e.g. |" in (out := capsys.readouterr().out)
    assert "RuntimeError: no kernel for this" in out
    # It is tried again.
    assert search(measure="latency", samples=3)["latency_ms"].gt(0).all()


def test_what_cannot_be_measured_at_all_is_said_before_anything_is_scored(search, tmp_path):
    for options, message in (
        ({"measure": "speed"}, "unknown measure 'speed', expected one of latency, memory"),
        ({"measure": "latency", "latency_device": "cuda:7"}, "--latency_device cuda:7: this machine has"),
        ({"measure": "latency", "latency_device": "abacus"}, "--latency_device abacus: "),
    ):
        with pytest.raises(UserError, match=message):
            search(**options)
    assert not (tmp_path / "run").exists()
    search(measure="latency", samples=1)
    (tmp_path / "run" / "hardware.json").write_text("{}")
    with pytest.raises(UserError, match=r"hardware.json is damaged \('device' is missing\): remove it"):
        search(measure="latency", samples=1)
