"""Put the shards of a search together: ``naswot merge --help``."""

from __future__ import annotations

from collections.abc import Sequence

from naswot_lightning.cli.parser import run_command
from naswot_lightning.config import MergeConfig
from naswot_lightning.console import restore_keyboard_interrupt

PROG = "naswot merge"


def main(words: Sequence[str]) -> int:
    """Merge shards and show the ranking as the whole search would; return the exit code."""
    return run_command(run_merge, MergeConfig, PROG, words, ["shards"])


def run_merge(config: MergeConfig) -> int:
    """Merge, then show; return 1 where no candidate could be scored."""
    from naswot_lightning.cli.search_output import run_and_show
    from naswot_lightning.searching.merge import merge_shards

    restore_keyboard_interrupt()
    return run_and_show(*merge_shards(config))
