"""The commands, one file each, above everything else: they read options, do the work, and show what came out."""

from __future__ import annotations

import sys
from importlib import import_module

from naswot_lightning.console import exit_on_signal

COMMANDS = ("search", "train", "report", "study", "benchmarks", "reproduce", "merge")


def start(command: str) -> int:
    """Run one of ``COMMANDS`` with the words of this process; return its exit code.

    Nothing else is loaded before Ctrl-C ends the process in one line: libraries take seconds.
    """
    exit_on_signal()
    code: int = import_module(f"naswot_lightning.cli.{command}").main(sys.argv[1:])
    return code
