"""The comparison of runs on the terminal: tables of a column a run, as many beside each other as it has room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from naswot_lightning.report.layout import GAP, fold
from naswot_lightning.report.several.agreement import Agreement
from naswot_lightning.report.several.comparison import RunsComparison
from naswot_lightning.report.table import print_lines, print_text, terminal_width
from spaces.errors import one_line

Rows = Sequence[tuple[str, tuple[str, ...]]]
_LONGEST = 38  # columns of a value on a terminal


def print_comparison(found: RunsComparison) -> None:
    """Print what differs, the figures, and how far the rankings agree."""
    width = terminal_width()
    settings = [(each.name, each.values) for each in found.differences]
    print_text("What differs in the settings" if settings else "The settings do not differ.")
    for rows in (settings, found.rows):
        for head, *body in blocks(found.names, rows, width) if rows else ():
            print_lines([head], body)
            print()
    print_text("Kendall tau between the scores of networks that two runs share, with 95 % intervals")
    for each in found.agreements:
        print_text(f"  {said(each)}", indent=" " * 4)


def said(agreement: Agreement) -> str:
    """Return the agreement of two runs in words."""
    both = f"{one_line(agreement.first)} and {one_line(agreement.second)}"
    if agreement.tau is None or agreement.why is not None:
        return f"{both}: not compared: {agreement.why}"
    return f"{both}: {agreement.tau}, n = {agreement.tau.n:,} networks"


def blocks(names: Sequence[str], rows: Rows, width: int | None) -> Iterator[list[str]]:
    r"""Yield tables with a column a run, each no wider than ``width`` where that is possible.

    >>> for block in blocks(["a", "b"], [("seed", ("0", "1"))], None):
    ...     print(*block, sep="\n")
          a  b
    seed  0  1
    """
    labels = ["", *(label for label, _ in rows)]
    room = max(map(cell_len, labels))
    if width is not None:
        room = min(room, max(width // 2, 12))
    longest = None if width is None else min(_LONGEST, max(width - room - len(GAP), 8))
    columns = [
        [_cell(text, longest) for text in (name, *(texts[place] for _, texts in rows))]
        for place, name in enumerate(names)
    ]
    while columns:
        count = _fitting(columns, room, width)
        yield [_line(cells, room, columns[:count]) for cells in zip(labels, *columns[:count], strict=True)]
        columns = columns[count:]


def _cell(text: str, longest: int | None) -> str:
    text = one_line(text)
    return text if longest is None else fold(text, longest)


def _fitting(columns: Sequence[list[str]], room: int, width: int | None) -> int:
    """Return how many of the columns fit beside the labels: one at least."""
    total = room
    for count, column in enumerate(columns):
        total += len(GAP) + max(map(cell_len, column))
        if width is not None and total > width and count:
            return count
    return len(columns)


def _line(cells: Sequence[str], room: int, columns: Sequence[list[str]]) -> str:
    widths = [room, *(max(map(cell_len, column)) for column in columns)]
    folded = [fold(cell, width) for cell, width in zip(cells, widths, strict=True)]
    padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(folded, widths, strict=True))
    return GAP.join(padded).rstrip()
