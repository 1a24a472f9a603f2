"""Is the score right on this space: ``python -m naswot_lightning.study --run_dir RUN [RUN ...]``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from naswot_lightning.console import end_at_once, raise_interrupts

if __name__ == "__main__":
    end_at_once()  # while the rest is loaded

from naswot_lightning.command_line import run_command
from naswot_lightning.study.settings import StudyConfig

PROG = "python -m naswot_lightning.study"
_OPTION = "--run_dir"


def run_study(config: StudyConfig) -> int:
    """Study a run; imported late so that --help is quick."""
    from naswot_lightning.study.run import study

    raise_interrupts()
    return study(config)


def with_folders(words: Sequence[str]) -> list[str]:
    """Put the folders that follow ``--run_dir`` into one list.

    >>> with_folders(["--run_dir", "a", "b", "--score", "naswot"])
    ['--score', 'naswot', '--run_dir', '["a", "b"]']
    """
    others: list[str] = []
    folders: list[str] = []
    collects = False
    for word in words:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            collects = name == _OPTION
            folders += [value] if collects and value else []
            others += [] if collects else [word]
        else:
            (folders if collects else others).append(word)
    return [*others, _OPTION, json.dumps(folders)] if folders else others


def main(words: Sequence[str]) -> int:
    """Study a run; return the exit code."""
    return run_command(run_study, StudyConfig, PROG, with_folders(words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
