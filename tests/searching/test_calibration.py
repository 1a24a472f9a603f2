import csv

import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.errors import UserError
from naswot_lightning.searching.calibration import Setting, recommend
from naswot_lightning.storage.files import lock_folder

OPTIONS = {"samples": 4, "batch_size": 16, "wandb": WandbConfig("disabled")}


def test_calibration_measures_cheaper_settings_and_recommends_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("naswot_lightning.naswot.compiled.jit.get_host_cpu_features", lambda: {"avx2": True})
    run, calibrated = tmp_path / "run", SearchConfig(run_dir=str(tmp_path / "run"), calibrate=True, **OPTIONS)
    run.mkdir()
    with lock_folder(run), pytest.raises(UserError, match="in use by another process"):
        run_search(calibrated)
    assert run_search(calibrated) == 0
    with open(run / "calibration.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(r["probe_size"], r["batch_size"], r["precision"], r["dataset"]) for r in rows] == [
        ("16", "16", "32", "digits"), ("16", "8", "32", "digits"), ("8", "16", "32", "digits"),
        ("8", "8", "32", "digits"), ("16", "16", "32", "noise"), ("16", "16", "32", "digits"),
    ]  # fmt: skip
    assert [row["seed"] for row in rows] == ["0"] * (len(rows) - 1) + ["1"]
    assert rows[-2]["setting"] == "16 px, batch 16, float32, noise"
    assert rows[-1]["setting"] == "16 px, batch 16, float32, another seed"
    assert float(rows[0]["tau"]) == pytest.approx(1.0)
    assert all(float(row["ms"]) > 0 for row in rows)
    assert "Recommended: --probe_size" in capsys.readouterr().out
    assert not (run / "scores.jsonl").exists()
    # The table is one of the run, and goes with it.
    for overwritten in ({}, {"seed": 1, "overwrite": True}):
        assert (run / "calibration.csv").exists()
        assert run_search(SearchConfig(run_dir=str(run), **OPTIONS, **overwritten)) == 0
    assert not (run / "calibration.csv").exists()


def test_the_recommended_setting_is_the_cheapest_that_agrees_well_enough():
    table = [("full", 9, 1.0), ("a", 5, 0.9), ("b", 1, 0.7), ("c", 2, None), ("d", 4, 0.8), ("self", 9, 0.8)]
    assert recommend([Setting(16, 8, "32", "digits", 0, *row) for row in table]).name == "d"
