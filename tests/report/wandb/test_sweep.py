"""The sweeps of configs/sweep: the command that wandb's agent makes of them, and the runs that it leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from naswot_lightning.cli.parser import parse
from naswot_lightning.config import SearchConfig, TrainConfig
from tests.conftest import ROOT
from tests.report.wandb.records import Records
from tests.runs import wandb_files

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
        assert words[3].startswith(f'exec .venv/bin/python {name}.py --run_dir "runs/sweep/$WANDB_RUN_ID"')
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
