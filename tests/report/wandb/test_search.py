import json

import numpy as np
import pytest

from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.report.wandb.content import best_so_far
from naswot_lightning.storage.run_folder import RunFolder
from tests.report.wandb.records import records


def search(run, mode, **settings):
    shown = WandbConfig(mode, group="ours", artifacts=True)
    given = {"samples": 12, "batch_size": 4, "wandb": shown, **settings}
    assert run_search(SearchConfig(run_dir=str(run), **given)) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    run = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "DATA", "CACHE"):
            patch.setenv(f"WANDB_{name}_DIR", str(run / ".home"))
        search(run, "offline")
    return run


@pytest.fixture(scope="module")
def recorded(folder):
    return records(folder, "*-search")


def test_search_config_and_group(recorded, folder):
    assert recorded.run["run_id"] == f"{RunFolder(folder).run_id()}-search"
    assert (recorded.run["run_group"], recorded.run["job_type"]) == ("ours", "search")
    config = recorded.config
    assert {name: config[name] for name in ("space", "samples", "batch_size", "score", "algorithm", "seed")} == {
        "space": "nasbench201", "samples": 12, "batch_size": 4, "score": "naswot", "algorithm": "random", "seed": 0,
    }  # fmt: skip
    assert {"device", "workers", "engine", "probe", "torch", "max_params"} <= set(config)
    assert not {"wandb", "overwrite", "trust"} & set(config)


def test_search_history_is_the_best_so_far(recorded, folder):
    assert recorded.axes == {"candidates": None, "best_score": "candidates"}
    rows = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    found = [row for row in recorded.history if "best_score" in row]
    assert found[-1]["candidates"] == len(rows) == 12
    for row in found:
        assert row["best_score"] == max(each["score"] for each in rows[: row["candidates"]] if each["score"])


def test_search_summary_is_the_best_of_the_ranking(recorded, folder):
    best, *rest = json.loads((folder / "ranking.json").read_text())
    summary = recorded.summary
    assert (summary["best_score"], summary["best_architecture"]) == (best["score"], best["architecture"])
    assert (summary["best_params"], summary["best_macs"]) == (best["params"], best["macs"])
    assert summary["candidates"] == 1 + len(rest)
    failed = [row["status"] for row in rest if row["status"] != "ok"]
    assert summary["degenerate"] + summary["failed"] == len(failed)
    assert {"tau/params", "tau/macs", "tau/n_units"} <= set(summary)


def test_search_table_has_pictures_and_chart_all_scored(recorded, folder):
    ranking = json.loads((folder / "ranking.json").read_text())
    table = recorded.table("ranking")
    assert table["columns"] == ["cell", *ranking[0]]
    assert [row[1:] for row in table["data"]] == [list(row.values()) for row in ranking]
    pictures = [row[0] for row in table["data"]]
    assert [picture["_type"] for picture in pictures[:10]] == ["image-file"] * 10
    assert pictures[10:] == [None] * 2
    assert all(picture["width"] > 400 and picture["path"].endswith(".png") for picture in pictures[:10])
    points = recorded.table("score_vs_params_table")
    assert points["columns"] == ["params", "score"]
    assert points["data"] == [[row["params"], row["score"]] for row in ranking if row["status"] == "ok"]
    chart = recorded.config["_wandb.visualize.score_vs_params"]
    assert chart["panel_config"]["panelDefId"] == "wandb/scatter/v0"
    assert chart["panel_config"]["stringSettings"]["title"].endswith("nasbench201 on digits")


def test_search_ranking_is_an_artifact_on_request(recorded, folder, tmp_path):
    named = {each["name"]: each for each in recorded.of("artifact")}
    artifact = named[f"ranking-{RunFolder(folder).run_id()}"]
    assert artifact["type"] == "ranking"
    files = [each["path"] for each in artifact["manifest"]["contents"]]
    assert sorted(files) == ["config.yaml", "ranking.csv", "ranking.json"]


@pytest.mark.slow
def test_search_by_several_scores_has_no_best_so_far(tmp_path):
    search(tmp_path, "offline", samples=4, score="jacob_cov+params", wandb=WandbConfig("offline"))
    found = records(tmp_path)
    assert [row for row in found.history if "best_score" in row] == []
    assert not any(each["type"] == "ranking" for each in found.of("artifact"))
    assert "best_score" in found.summary


def test_best_so_far_up_and_down_with_and_without_scores():
    for scores, higher, best in (
        ([2.0, 1.0, 3.0], True, [(1, 2.0), (3, 3.0)]),
        ([2.0, 1.0, 3.0], False, [(1, 2.0), (2, 1.0), (3, 1.0)]),
        ([np.nan, 2.0, 2.0], True, [(2, 2.0), (3, 2.0)]),
        ([np.nan], True, []),
    ):
        assert best_so_far(np.array(scores), higher) == best
