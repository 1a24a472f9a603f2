"""The paper's own tables and plots: ``naswot reproduce table2 --benchmark TABLE``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from naswot_lightning.cli.parser import run_command
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.reproduce import RESULTS, reproduce
from naswot_lightning.reproduce.settings import Scoring

PROG = "naswot reproduce"


def main(words: Sequence[str]) -> int:
    """Reproduce one of the paper's tables or figures; return the exit code."""
    name, *rest = words or ["--help"]
    if name in ("--help", "-h"):
        print(f"{PROG} NAME --benchmark TABLE ...: the paper's tables and figures; each has a --help\n")
        print("\n".join(f"  {each:11s} {result.title}" for each, result in RESULTS.items()))
        return 0
    try:
        result = RESULTS[expect_name("result", name, RESULTS)]
    except UserError as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return 2

    def run(settings: Scoring) -> int:
        if Path(settings.out).is_file():
            raise UserError(f"--out {settings.out}: expected a folder, but this is a file; choose another name")
        return reproduce(name, settings)

    return run_command(run, result.settings, f"{PROG} {name}", rest)
