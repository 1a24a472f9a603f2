"""Put the shards of a search together: ``python -m naswot_lightning.merge --help``."""

import json
import sys
from collections.abc import Sequence

from naswot_lightning.console import end_at_once, raise_interrupts

if __name__ == "__main__":
    end_at_once()  # while the rest is loaded

from naswot_lightning.command_line import run_command
from naswot_lightning.search.shards import MergeConfig

PROG = "python -m naswot_lightning.merge"
_SWITCHES = ("--overwrite", "--trust", "--help", "--print_config")


def main(config: MergeConfig) -> int:
    """Merge; imported late so that --help is quick."""
    from naswot_lightning.search.merge import merge_shards

    raise_interrupts()
    return merge_shards(config)


def with_option(words: Sequence[str]) -> list[str]:
    """Give the folders, which stand alone on the command line, the option that takes them.

    >>> with_option(["--run_dir", "whole", "a", "--trust", "b"])
    ['--run_dir', 'whole', '--trust', '--shards', '["a", "b"]']
    """
    options: list[str] = []
    folders: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        takes_value = before.startswith("--") and "=" not in before
        is_value = takes_value and (before not in _SWITCHES or word in ("true", "false"))
        (options if word.startswith("-") or is_value else folders).append(word)
    return [*options, "--shards", json.dumps(folders)] if folders else options


if __name__ == "__main__":
    sys.exit(run_command(main, MergeConfig, PROG, with_option(sys.argv[1:])))
