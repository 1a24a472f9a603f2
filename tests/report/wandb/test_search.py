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


def test_search_config_group_and_artifact(recorded, folder):
    run_id = RunFolder(folder).run_id()
    assert recorded.run["run_id"] == f"{run_id}-search"
    assert (recorded.run["run_group"], recorded.run["job_type"]) == ("ours", "search")
    config = recorded.config
    found = [config[name] for name in ("space", "samples", "batch_size", "score", "algorithm", "seed")]
    assert found == ["nasbench201", 12, 4, "naswot", "random", 0]
    assert {"device", "workers", "engine", "probe", "torch", "max_params"} <= set(config)
    assert not {"wandb", "overwrite", "trust"} & set(config)
    artifact = {each["name"]: each for each in recorded.of("artifact")}[f"ranking-{run_id}"]
    files = [each["path"] for each in artifact["manifest"]["contents"]]
    assert sorted(files) == ["config.yaml", "ranking.csv", "ranking.json"]


def test_search_history_and_summary_are_the_best_so_far_and_at_the_end(recorded, folder):
    assert recorded.axes == {"candidates": None, "best_score": "candidates"}
    rows = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    found = [row for row in recorded.history if "best_score" in row]
    assert found[-1]["candidates"] == len(rows) == 12
    for row in found:
        assert row["best_score"] == max(each["score"] for each in rows[: row["candidates"]] if each["score"])
    best, *rest = json.loads((folder / "ranking.json").read_text())
    summary = recorded.summary
    for name in ("score", "architecture", "params", "macs"):
        assert summary[f"best_{name}"] == best[name]
    assert summary["degenerate"] + summary["failed"] == sum(row["status"] != "ok" for row in rest)
    assert {"tau/params", "tau/macs", "tau/n_units"} <= set(summary)


def test_search_table_has_pictures_and_chart_all_scored(recorded, folder):
    ranking = json.loads((folder / "ranking.json").read_text())
    table = recorded.table("ranking")
    assert table["columns"] == ["cell", *ranking[0]]
    assert [row[1:] for row in table["data"]] == [list(row.values()) for row in ranking]
    pictures = [row[0] for row in table["data"]]
    assert pictures[10:] == [None] * 2
    assert all(picture["width"] > 400 and picture["path"].endswith(".png") for picture in pictures[:10])
    points = recorded.table("score_vs_params_table")
    assert points["data"] == [[row["params"], row["score"]] for row in ranking if row["status"] == "ok"]
    chart = recorded.config["_wandb.visualize.score_vs_params"]
    assert chart["panel_config"]["panelDefId"] == "wandb/scatter/v0"


@pytest.mark.slow
def test_search_by_several_scores_has_no_best_so_far(tmp_path):
    search(tmp_path, "offline", samples=4, score="jacob_cov+params", wandb=WandbConfig("offline"))
    found = records(tmp_path)
    assert [row for row in found.history if "best_score" in row] == []
    assert not any(each["type"] == "ranking" for each in found.of("artifact"))
    assert "best_score" in found.summary
