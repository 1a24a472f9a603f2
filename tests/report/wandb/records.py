"""What offline runs hold, as ``wandb leet inspect --json`` prints it, and what a server has after ``wandb sync``."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.report.wandb.server import Kept
from tests.runs import wandb_files

TIMES = ("_timestamp", "_runtime", "_step", "_wandb")


def _wandb(*words: object, **environment: str) -> str:
    command = [sys.executable, "-m", "wandb", *map(str, words)]
    with TemporaryDirectory() as folder:  # it keeps its logs in wandb/ of where it stands
        environment = {**os.environ, **environment}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=environment, cwd=folder
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Records:
    """The records of one offline run."""

    def __init__(self, path: Path) -> None:
        self.lines = [json.loads(line) for line in _wandb("leet", "inspect", "--json", path).splitlines()]

    def of(self, kind: str) -> list[dict]:
        """The records of one kind, in their order."""
        return [line[kind] for line in self.lines if line["type"] == kind]

    @property
    def run(self) -> dict:
        return self.of("run")[0]

    @property
    def config(self) -> dict:
        found = dict(self.run["config"]["update"])
        for each in self.of("config"):
            found |= each["update"]
        return found

    @property
    def summary(self) -> dict:
        found = {}
        for each in self.of("summary"):
            found |= each["update"]
        return found

    @property
    def history(self) -> list[dict]:
        """What was logged, without times, media and tables."""
        rows = [each["item"] for each in self.of("history")]
        return [{k: v for k, v in row.items() if k not in TIMES and "._" not in k and "." not in k} for row in rows]

    def table(self, name: str) -> dict:
        """A table as wandb shows it, from the artifact that it is kept in."""
        (kept,) = (each for each in self.of("artifact") if each["name"].endswith(f"-{name}"))
        paths = {each["path"]: each["local_path"] for each in kept["manifest"]["contents"]}
        return json.loads(Path(paths[f"{name}.table.json"]).read_text())

    @property
    def axes(self) -> dict[str, str | None]:
        """The axis of each metric that is defined."""
        return {each["name"]: each.get("step_metric") for each in self.of("metric")}


def records(run_dir: Path, name: str = "*") -> Records:
    """The records of the only offline run of a folder whose directory ends so."""
    (path,) = wandb_files(run_dir, name)
    return Records(path)


def sync(run_dir: Path, environment: dict[str, str]) -> None:
    """Send all offline runs of a folder, as a user does."""
    _wandb("sync", *sorted(path.parent for path in wandb_files(run_dir)), **environment)


def comparable(kept: Kept) -> dict:
    """What a server has of a run, without times and the names that wandb draws for files."""
    rows = [{k: v for k, v in row.items() if k not in TIMES and not isinstance(v, dict)} for row in kept.history]
    summary = {k: v for k, v in kept.summary.items() if k not in TIMES and not isinstance(v, dict)}
    media = {k: v["_type"] for k, v in kept.summary.items() if isinstance(v, dict) and "_type" in v}
    config = {k: v for k, v in kept.config.items() if k != "_wandb"}
    charts = kept.config["_wandb"]["value"].get("visualize", {})
    files = sorted(name for name in kept.files if name.startswith("media"))
    assert all(artifact.is_whole for artifact in kept.artifacts.values())
    artifacts = {name: sorted(artifact.files) for name, artifact in kept.artifacts.items()}
    return {
        "group": kept.group, "job_type": kept.job_type, "name": kept.name, "config": config, "charts": charts,
        "summary": summary, "media": media, "history": rows, "files": files, "artifacts": artifacts,
    }  # fmt: skip
