import csv

import pytest

from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.search.calibration import recommend
from naswot_lightning.search.engine import run_search


@pytest.mark.parametrize("features", [{"avx512bf16": True}, {"avx2": True}])
def test_calibration_measures_cheaper_settings_and_recommends_one(features, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("naswot_lightning.score.compiled.instructions.get_host_cpu_features", lambda: features)
    config = SearchConfig(
        run_dir=str(tmp_path / "run"), samples=6, batch_size=16, calibrate=True, wandb=WandbConfig("disabled")
    )
    assert run_search(config) == 0
    with open(tmp_path / "run" / "calibration.csv") as file:
        rows = list(csv.DictReader(file))
    bf16 = [("16", "16", "bf16", "digits"), ("8", "16", "bf16", "digits")] if "avx512bf16" in features else []
    assert [(r["probe_size"], r["batch_size"], r["precision"], r["dataset"]) for r in rows] == [
        ("16", "16", "32", "digits"), ("16", "8", "32", "digits"), ("8", "16", "32", "digits"),
        ("8", "8", "32", "digits"), *bf16, ("16", "16", "32", "noise"), ("16", "16", "32", "digits"),
    ]  # fmt: skip
    assert float(rows[0]["tau"]) == pytest.approx(1.0)
    assert all(float(row["ms"]) > 0 for row in rows)
    assert "Recommended: --probe_size" in capsys.readouterr().out
    assert not (tmp_path / "run" / "scores.jsonl").exists()


def test_the_recommended_setting_is_the_cheapest_that_agrees_well_enough():
    rows = [
        {"setting": s, "ms": ms, "tau": tau}
        for s, ms, tau in (
            ("full", 9, 1.0),
            ("a", 5, 0.9),
            ("b", 1, 0.7),
            ("c", 2, None),
            ("d", 4, 0.8),
            ("self", 9, 0.8),
        )
    ]
    assert recommend(rows)["setting"] == "d"
