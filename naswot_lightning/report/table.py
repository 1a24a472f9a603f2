"""Tables on the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from spaces.errors import one_line

_WIDTH_OF_A_FILE = 200  # where the output is no terminal


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under a title; numbers are right-aligned, the last column may wrap."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for position, name in enumerate(columns):
        last = position == len(columns) - 1
        table.add_column(name, justify="left" if last else "right", no_wrap=not last, overflow="fold")
    for row in rows:
        table.add_row(*(shown(value) for value in row))
    console = Console(soft_wrap=False, highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(
            width=max(_WIDTH_OF_A_FILE, shutil.get_terminal_size().columns), highlight=False, markup=False
        )
    console.print(table)


def shown(value: Any) -> str:
    """Return a value as a table shows it; what is missing is a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else one_line(str(value))
