"""The page and figures of a run, from its files: ``python -m naswot_lightning.report --run_dir RUN``."""

from __future__ import annotations

from collections.abc import Sequence

from naswot_lightning.cli.parser import run_command
from naswot_lightning.console import restore_keyboard_interrupt
from naswot_lightning.report.settings import ReportConfig

PROG = "python -m naswot_lightning.report"


def main(words: Sequence[str]) -> int:
    """Report on a run; return the exit code."""
    return run_command(run_report, ReportConfig, PROG, words)


def run_report(config: ReportConfig) -> int:
    """Report on a run; imported late so that --help is quick."""
    from naswot_lightning.report.command import report

    restore_keyboard_interrupt()
    return report(config)
