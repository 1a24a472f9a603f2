"""The page and figures of a run, from its files: ``python -m naswot_lightning.report --run_dir RUN``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from naswot_lightning.console import end_at_once, raise_interrupts

if __name__ == "__main__":
    end_at_once()  # while the rest is loaded

from naswot_lightning.command_line import run_command
from naswot_lightning.option_lists import with_lists
from naswot_lightning.report.settings import ReportConfig

PROG = "python -m naswot_lightning.report"
read_lists = partial(with_lists, names=("run_dir", "figure", "format", "batch_sizes"), of_numbers=("batch_sizes",))


def run_report(config: ReportConfig) -> int:
    """Report on a run; imported late so that --help is quick."""
    from naswot_lightning.report.command import report

    raise_interrupts()
    return report(config)


def main(words: Sequence[str]) -> int:
    """Report on a run; return the exit code."""
    return run_command(run_report, ReportConfig, PROG, read_lists(words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
