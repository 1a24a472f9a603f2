"""What a search sends to wandb, and the sweeps of configs/sweep."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import wandb
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.search import run_search
from naswot_lightning.config import SearchConfig, TrainConfig, WandbConfig
from naswot_lightning.storage.run_folder import RunFolder
from tests.conftest import ROOT
from tests.report.wandb.records import Records, records
from tests.runs import wandb_files


def search(run, mode, **settings):
    shown = WandbConfig(mode, group="ours", artifacts=True)
    given = {"samples": 12, "batch_size": 4, "wandb": shown, **settings}
    assert run_search(SearchConfig(run_dir=str(run), **given)) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    run = tmp_path_factory.mktemp("searched")
    # A test before may have ended wandb's service and put the name of its socket back.
    wandb.teardown()
    os.environ.pop("WANDB_SERVICE", None)
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


SETTINGS = {"search": SearchConfig, "train": TrainConfig}


def first_value(parameter):
    return {"value": parameter.get("value", parameter.get("values", [parameter.get("min")])[0])}


def command_of(name, **changes):
    """The words that an agent runs, for the first values of a sweep."""
    sweep = yaml.safe_load((ROOT / "configs" / "sweep" / f"{name}.yaml").read_text())
    chosen = {each: first_value(parameter) for each, parameter in sweep["parameters"].items()}
    chosen |= {each: {"value": value} for each, value in changes.items()}
    given = {"args": chosen}
    made = create_sweep_command_args(given) | {"env": ["/usr/bin/env"], "program": [sweep["program"]]}
    words = []
    for word in create_sweep_command(sweep["command"]):
        words += made[word[2:-1]] if word.startswith("${") else [word]
    return sweep, words


def test_sweep_parameters_are_options_and_its_metric_is_one_that_is_logged():
    for name, config in SETTINGS.items():
        sweep, words = command_of(name)
        assert words[:3] == ["/usr/bin/env", "sh", "-c"]
        assert words[3].startswith(f'PATH=".venv/bin:$PATH" exec naswot {name} --run_dir "runs/sweep/$WANDB_RUN_ID"')
        settings = parse(config, words[5:], f"{name}.py")
        for each, parameter in sweep["parameters"].items():
            assert getattr(settings, each) == first_value(parameter)["value"]
        assert f"`{sweep['metric']['name']}`" in (ROOT / "docs" / "wandb.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_of_a_sweep_has_its_id_and_the_picks_their_own(name, tmp_path):
    quick = {"search": {"samples": 3, "batch_size": 4}, "train": {"epochs": 1}}[name]
    _, words = command_of(name, **quick, **{"wandb.mode": "offline"})
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for script in ("search.py", "train.py"):
        (tmp_path / script).symlink_to(ROOT / script)
    environment = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "r1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    run = Path(tmp_path, "runs", "sweep", "r1")
    runs = [Records(path).run for path in wandb_files(run)]
    of_sweep = [each for each in runs if each["run_id"] == "r1"]
    assert [each["job_type"] for each in of_sweep] == [{"search": "search", "train": "comparison"}[name]]
    assert of_sweep[0]["sweep_id"] == "s1"
    assert [each["job_type"] for each in runs if each["run_id"] != "r1"] == ["train"] * (name == "train")
    assert all("sweep_id" not in each for each in runs if each["run_id"] != "r1")
