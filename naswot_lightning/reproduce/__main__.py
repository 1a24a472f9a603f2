"""The paper's own tables and plots: ``python -m naswot_lightning.reproduce table2 --benchmark TABLE``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from naswot_lightning.console import end_at_once, raise_interrupts

if __name__ == "__main__":
    end_at_once()  # while the rest is loaded

from naswot_lightning.command_line import run_command
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.option_lists import with_lists
from naswot_lightning.registry import resolve
from naswot_lightning.reproduce import RESULTS
from naswot_lightning.reproduce.settings import Scoring

PROG = "python -m naswot_lightning.reproduce"
read_lists = partial(
    with_lists, names=("benchmark", "dataset", "scores", "algorithms", "batch_sizes"), of_numbers=("batch_sizes",)
)


def main(words: Sequence[str]) -> int:
    """Reproduce one of the paper's tables or figures; return the exit code."""
    name, *rest = words or ["--help"]
    if name in ("--help", "-h"):
        print(f"{PROG} NAME --benchmark TABLE ...; each has a --help\n")
        print("\n".join(f"  {each:11s} {result.title}" for each, result in RESULTS.items()))
        return 0
    try:
        result = RESULTS[expect_name("result", name, RESULTS)]
    except UserError as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return 2

    def reproduce(settings: Scoring) -> int:
        function = resolve("result", name, {name: result.function})
        if Path(settings.out).is_file():
            raise UserError(f"--out {settings.out}: there is a file of that name; choose a folder")
        raise_interrupts()
        code: int = function(settings)
        return code

    return run_command(reproduce, result.settings, f"{PROG} {name}", read_lists(rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
