"""How a command of a page is read, not run: options and their values, targets, parts and files are looked up."""

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Sequence

from naswot_lightning.cli.parser import parse
from naswot_lightning.cli.report import PROG as REPORT
from naswot_lightning.cli.reproduce import PROG as REPRODUCE
from naswot_lightning.cli.study import PROG as STUDY
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.reproduce import RESULTS
from naswot_lightning.study.settings import StudyConfig
from tests.conftest import ROOT

# Files that a command names and the reader brings.
OF_THE_READER = {"cifar100-test-split.txt"}


def read(words: Sequence[str]) -> None:
    """Look up the names in a command that is not run."""
    match list(words):
        case ["python", "search.py", *options]:
            parse(SearchConfig, options, "search.py")
        case ["python", "train.py", *options]:
            parse(TrainConfig, options, "train.py")
        case ["python", "-m", module, *options]:
            _read_module(module, options)
        case ["python" | "pytest", *options]:
            assert any((ROOT / option).is_file() for option in options), f"{options}: no file of ours"
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case other:
            _read_of_others(other)
    for word in words:
        if re.search(r"\.(py|yaml|csv|txt)$", word) and word not in OF_THE_READER:
            assert (ROOT / word).exists(), word


def read_script(text: str) -> None:
    """Check the shell's grammar of a script that is not run, and read the commands of ours in it."""
    subprocess.run(["sh", "-n", "-c", text], check=True)
    found = re.findall(r"python ((?:search|train)\.py[^\n\"&]*)", text)
    assert found
    for command in found:
        read(["python", *shlex.split(command.replace("$i", "1"))])


def _read_module(module: str, options: Sequence[str]) -> None:
    assert importlib.util.find_spec(module), module
    match module, list(options):
        case "naswot_lightning.reproduce", [name, *rest]:
            parse(RESULTS[name].settings, rest, f"{REPRODUCE} {name}")
        case "naswot_lightning.study", [_, *_]:
            parse(StudyConfig, options, STUDY)
        case "naswot_lightning.report", [_, *_]:
            parse(ReportConfig, options, REPORT)
        case "bench", parts:
            from bench.__main__ import _PARTS

            assert set(parts) <= set(_PARTS)
        case _, rest:
            assert not rest, f"{module} {rest}: not known"


def _read_of_others(words: list[str]) -> None:
    match words:
        case ["pip", "install", "-e", what] | ["pip", "install", what]:
            _read_extras(what)
        case ["ray", "start", *options]:
            from ray.scripts.scripts import start

            start.make_context("start", options)
        case ["export", setting]:
            assert f'"{setting.split("=")[0]}"' in (ROOT / "naswot_lightning/execution/ray.py").read_text()
        case [".venv/bin/wandb", command, _]:
            from wandb.cli.cli import cli

            assert command in cli.commands
        case other:
            raise AssertionError(f"{shlex.join(other)}: not known")


def _read_extras(what: str) -> None:
    name, named = re.fullmatch(r"([\w.-]+)\[([\w,]+)\]", what).groups()
    assert name in (".", "naswot-lightning")
    project = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    assert set(named.split(",")) <= set(re.findall(r"^(\w+) = \[", project, re.MULTILINE))
