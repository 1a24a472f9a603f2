"""Tables and sentences on the terminal, as wide as it is; where the output is none, as wide as they need to be."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console

from naswot_lightning.report.layout import fit
from spaces.errors import one_line

_PLAIN = {"…": "~", "±": "+-"}  # where the encoding has no such letter


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    optional: Sequence[str] = (),
    whole: str | None = None,
) -> None:
    """Print rows under a title.

    Args:
        title: above them.
        columns: the headings; the last is of text, which is folded where there is no room for it.
        rows: values of the columns.
        optional: columns that may be left out where there is no room, the first ones first.
        whole: the file that has all of the table, which is then named.
    """
    heads = [_plain(name) for name in columns]
    table = fit(heads, [[_plain(shown(value)) for value in row] for row in rows], terminal_width(), optional)
    if title:
        print_text(title)
    print_lines(table.head, table.body)
    if table.left_out and whole is not None:
        print_text(f"(without {', '.join(table.left_out)}: see {whole})")


def print_lines(head: Iterable[str], body: Iterable[str]) -> None:
    """Print the lines of a table as they are, its head in bold."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for line in head:
        console.print(_plain(line), style="bold")
    for line in body:
        print(_plain(line))


def print_text(text: str, indent: str = "") -> None:
    """Print a line of words; on a terminal it is broken between them.

    Args:
        text: one line.
        indent: of the lines that follow the first.
    """
    width = terminal_width()
    lines = [text]
    if width is not None:
        lines = textwrap.wrap(
            text, max(width, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    print(*map(_plain, lines), sep="\n")


def terminal_width() -> int | None:
    """Return the columns of the terminal that the output goes to; None where it is none."""
    console = Console()
    return console.width if console.is_terminal else None


def shown(value: Any) -> str:
    """Return a value as a table shows it; what is missing is a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else one_line(str(value))


def _plain(text: str) -> str:
    """Return a text in letters that the output has, of the same meaning."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for letter, plain in _PLAIN.items():
        if letter in text and not _has(encoding, letter):
            text = text.replace(letter, plain)
    return text


def _has(encoding: str, letter: str) -> bool:
    try:
        letter.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True
