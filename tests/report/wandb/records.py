"""What offline runs hold, as ``wandb leet inspect --json`` prints it: what ``wandb sync`` sends."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.runs import wandb_files

TIMES = ("_timestamp", "_runtime", "_step", "_wandb")


def _inspected(path: Path) -> str:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    with TemporaryDirectory() as folder:  # it keeps its logs in wandb/ of where it stands
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Records:
    """The records of one offline run."""

    def __init__(self, path: Path) -> None:
        self.lines = [json.loads(line) for line in _inspected(path).splitlines()]

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
