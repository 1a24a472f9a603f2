"""Is the score right on this space: ``python -m naswot_lightning.study --run_dir RUN [RUN ...]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from naswot_lightning.console import end_at_once, raise_interrupts

if __name__ == "__main__":
    end_at_once()  # while the rest is loaded

from naswot_lightning.command_line import run_command
from naswot_lightning.option_lists import with_lists
from naswot_lightning.study.settings import StudyConfig

PROG = "python -m naswot_lightning.study"
read_lists = partial(with_lists, names=("run_dir",))


def run_study(config: StudyConfig) -> int:
    """Study a run; imported late so that --help is quick."""
    from naswot_lightning.study.run import study

    raise_interrupts()
    return study(config)


def main(words: Sequence[str]) -> int:
    """Study a run; return the exit code."""
    return run_command(run_study, StudyConfig, PROG, read_lists(words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
