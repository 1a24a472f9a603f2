"""Is the score right on this space: ``naswot study --run_dir RUN [RUN ...]``."""

from __future__ import annotations

from naswot_lightning.console import restore_keyboard_interrupt
from naswot_lightning.study.settings import StudyConfig


def run_study(config: StudyConfig) -> int:
    """Study a run; return the exit code."""
    # Imported late so that --help is quick.
    from naswot_lightning.study.report import study

    restore_keyboard_interrupt()
    return study(config)
