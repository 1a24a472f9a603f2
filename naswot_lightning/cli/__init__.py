"""The commands, one file each, above everything else: they read options, do the work, and show what came out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from naswot_lightning.console import exit_on_signal


class Command(NamedTuple):
    """A command; one without options of a dataclass is ``main`` of the file of its name, which gets the words."""

    what: str
    """in ``naswot --help``."""
    settings: str = ""
    """the module and the dataclass of its options."""
    function: str = ""
    """the module and the function that gets them, and returns the exit code."""
    positionals: Sequence[str] = ()
    """options whose values may stand alone."""


COMMANDS = {
    "search": Command("rank untrained networks of a search space", "config:SearchConfig", "cli.search:run_search"),
    "train": Command("train the picks of a ranking and compare them", "config:TrainConfig", "cli.train:run_training"),
    "report": Command(
        "write the report page and the figures of a run", "report.settings:ReportConfig", "cli.report:run_report"
    ),
    "compare": Command(
        "compare several runs on one page", "report.settings:ReportConfig", "cli.report:run_report", ["run_dir"]
    ),
    "study": Command(
        "report which score to trust on a space",
        "study.settings:StudyConfig",
        "study.report:study",
    ),
    "export": Command(
        "export a trained model into a folder that needs only torch", "config:ExportConfig", "cli.models:export"
    ),
    "predict": Command(
        "classify images with an exported model", "config:PredictConfig", "cli.models:predict", ["images"]
    ),
    "spaces": Command(
        "list the search spaces, or draw an architecture", "cli.spaces:SpacesConfig", "cli.spaces:run_spaces", ["space"]
    ),
    "benchmarks": Command("convert, show and export tables of known accuracies"),
    "reproduce": Command("reproduce the paper's tables and figures"),
    "merge": Command("merge the shards of a search", "config:MergeConfig", "cli.search:run_merge", ["shards"]),
}


def named(path: str) -> Any:
    """Return what a module of this package holds, ``module:attribute``."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(f"naswot_lightning.{module}"), attribute)


def run_named(command: str, words: Sequence[str]) -> int:
    """Run one of ``COMMANDS`` with these words; return its exit code: 2 with one line on stderr for a mistake."""
    _, settings, function, positionals = COMMANDS[command]
    if not settings:
        code: int = named(f"cli.{command}:main")(words)
        return code
    from naswot_lightning.cli.parser import run_command

    return run_command(function, named(settings), f"naswot {command}", words, positionals)


def start(command: str, words: list[str] | None = None) -> int:
    """Run one of ``COMMANDS`` with these words, by default those of this process; return its exit code.

    Nothing else is loaded before Ctrl-C ends the process in one line: libraries take seconds.
    """
    exit_on_signal()
    return run_named(command, sys.argv[1:] if words is None else words)


def main() -> int:
    """Run ``naswot COMMAND ...``; return its exit code."""
    command, *words = sys.argv[1:] or ["--help"]
    if command in COMMANDS:
        return start(command, words)
    if command == "--version":
        from importlib.metadata import version

        print(f"naswot {version('naswot-lightning')}")
        return 0
    if command in ("--help", "-h"):
        print("naswot COMMAND ...: search architectures without training; each command has a --help\n")
        print("\n".join(f"  {name:11s} {each.what}" for name, each in COMMANDS.items()))
        return 0
    from naswot_lightning.spaces.errors import did_you_mean

    near = did_you_mean(command, COMMANDS)
    print(f"naswot: error: unknown command {command!r}, expected one of {', '.join(COMMANDS)}{near}", file=sys.stderr)
    return 2
