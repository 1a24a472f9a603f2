"""Rank untrained networks: ``python search.py --help``."""

import sys

from naswot_lightning.command_line import run_command
from naswot_lightning.config import SearchConfig


def main(config: SearchConfig) -> int:
    """Run the search; imported late so that --help is quick."""
    from naswot_lightning.search import run_search

    return run_search(config)


if __name__ == "__main__":
    sys.exit(run_command(main, SearchConfig, "search.py"))
