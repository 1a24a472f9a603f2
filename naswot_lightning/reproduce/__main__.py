"""The paper's own tables and plots: ``python -m naswot_lightning.reproduce table2 --benchmark TABLE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from naswot_lightning.console import end_at_once, raise_interrupts

if __name__ == "__main__":
    end_at_once()  # while the rest is loaded

from naswot_lightning.command_line import run_command
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.registry import resolve
from naswot_lightning.reproduce import RESULTS
from naswot_lightning.reproduce.settings import Scoring

PROG = "python -m naswot_lightning.reproduce"
_LISTS = ("benchmark", "dataset", "scores", "algorithms", "batch_sizes")


def with_lists(words: Sequence[str], names: Iterable[str] = _LISTS) -> list[str]:
    """Put the words that follow an option of several values into one list.

    >>> with_lists(["--benchmark", "a.npz", "b.npz", "--runs", "5"])
    ['--benchmark', '["a.npz", "b.npz"]', '--runs', '5']
    >>> with_lists(["--dataset=digits"])
    ['--dataset', '["digits"]']
    """
    options: list[str] = []
    values: list[str] | None = None
    for word in [*words, "--"]:
        if word.startswith("--"):
            if values is not None:
                options.append(json.dumps([_value(each) for each in values]))
            name, _, value = word.removeprefix("--").partition("=")
            values = ([value] if value else []) if name in names else None
            options.append(f"--{name}" if values is not None else word)
        elif values is None:
            options.append(word)
        else:
            values.append(word)
    return options[:-1]


def _value(word: str) -> str | int:
    return int(word) if word.isdecimal() else word


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

    return run_command(reproduce, result.settings, f"{PROG} {name}", with_lists(rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
