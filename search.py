"""Rank untrained networks: ``python search.py --help``."""

import sys

from naswot_lightning.console import end_at_once, raise_interrupts

if __name__ == "__main__":
    end_at_once()  # while the rest is loaded

from naswot_lightning.command_line import run_command
from naswot_lightning.config import SearchConfig
from naswot_lightning.execution import begin_engine


def main(config: SearchConfig) -> int:
    """Run the search; imported late so that --help is quick."""
    begin_engine(config.engine)
    from naswot_lightning.search import run_search

    raise_interrupts()
    return run_search(config)


if __name__ == "__main__":
    sys.exit(run_command(main, SearchConfig, "search.py"))
