"""Several runs on one page: ``naswot compare RUN RUN ...``."""

from __future__ import annotations

from collections.abc import Sequence

from naswot_lightning.cli.parser import run_command
from naswot_lightning.cli.report import run_report
from naswot_lightning.report.settings import ReportConfig

PROG = "naswot compare"


def main(words: Sequence[str]) -> int:
    """Compare runs; return the exit code."""
    return run_command(run_report, ReportConfig, PROG, words, ["run_dir"])
