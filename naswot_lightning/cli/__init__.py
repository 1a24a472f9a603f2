"""The commands, one file each, above everything else: they read options, do the work, and show what came out."""

from __future__ import annotations

import sys
from importlib import import_module

from naswot_lightning.console import exit_on_signal

# What ``naswot --help`` says of each; a command is ``main`` of the file of its name.
COMMANDS = {
    "search": "rank untrained networks of a search space",
    "train": "train the picks of a ranking, and compare them",
    "report": "draw the page and the figures of a run again",
    "compare": "compare several runs on one page",
    "study": "say which score to trust on a space, from trained picks",
    "export": "write a trained model into a folder that needs torch alone",
    "predict": "say what is on images, with an exported model",
    "spaces": "list the search spaces, or draw an architecture",
    "benchmarks": "convert and show tables of known accuracies",
    "reproduce": "make the paper's tables and figures",
    "merge": "put the shards of a search together",
    "completion": "print what lets a shell complete commands and options",
}


def start(command: str, words: list[str] | None = None) -> int:
    """Run one of ``COMMANDS`` with these words, by default those of this process; return its exit code.

    Nothing else is loaded before Ctrl-C ends the process in one line: libraries take seconds.
    """
    exit_on_signal()
    code: int = import_module(f"naswot_lightning.cli.{command}").main(sys.argv[1:] if words is None else words)
    return code


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
        print("\n".join(f"  {name:11s} {what}" for name, what in COMMANDS.items()))
        return 0
    from naswot_lightning.spaces.errors import did_you_mean

    near = did_you_mean(command, COMMANDS)
    print(f"naswot: error: unknown command {command!r}, expected one of {', '.join(COMMANDS)}{near}", file=sys.stderr)
    return 2
