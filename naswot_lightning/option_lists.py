"""Options of several values on a command line: ``--run_dir A B C``."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence


def with_lists(words: Sequence[str], names: Collection[str], of_numbers: Collection[str] = ()) -> list[str]:
    """Put the words that follow each of some options into one list, at the end, as the parser reads it.

    Args:
        words: of the command line.
        names: of options that take several values.
        of_numbers: those of them whose values are whole numbers where they can be.

    >>> with_lists(["--run_dir", "a", "7", "--score", "naswot", "--run_dir=b"], ["run_dir"])
    ['--score', 'naswot', '--run_dir', '["a", "7", "b"]']
    >>> with_lists(["--sizes", "32", "64"], ["sizes"], ["sizes"])
    ['--sizes', '[32, 64]']
    """
    others: list[str] = []
    values: dict[str, list[str]] = {}
    into = others
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            into.append(word)
        elif name in names:
            into = values.setdefault(name, [])
            into += [value] if value else []
        else:
            into = others
            into.append(word)
    for name, each in values.items():
        others += [f"--{name}", json.dumps([_number(word) if name in of_numbers else word for word in each])]
    return others


def _number(word: str) -> str | int:
    return int(word) if word.isdecimal() else word
