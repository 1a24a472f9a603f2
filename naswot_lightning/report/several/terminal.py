"""The comparison of runs on the terminal: tables of a column a run, as many beside each other as it has room for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from naswot_lightning.console import GAP, print_columns, print_text, terminal_width
from naswot_lightning.report.several.agreement import Agreement
from naswot_lightning.report.several.comparison import RunsComparison
from spaces.errors import one_line

Rows = Sequence[tuple[str, tuple[str, ...]]]
_LONGEST = 38  # columns of a value on a terminal


def print_comparison(found: RunsComparison) -> None:
    """Print what differs, the figures, and how far the rankings agree."""
    width = terminal_width()
    settings = [(each.name, each.values) for each in found.differences]
    print_text("What differs in the settings" if settings else "The settings do not differ.")
    for rows in (settings, found.rows):
        if rows:
            _print_by_run(found.names, rows, width)
    print_text("Kendall tau between the scores of networks that two runs share, with 95 % intervals")
    for each in found.agreements:
        print_text(f"  {said(each)}", indent=" " * 4)


def said(agreement: Agreement) -> str:
    """Return the agreement of two runs in words."""
    both = f"{one_line(agreement.first)} and {one_line(agreement.second)}"
    if agreement.tau is None or agreement.why is not None:
        return f"{both}: not compared: {agreement.why}"
    return f"{both}: {agreement.tau}, n = {agreement.tau.n:,} networks"


def _print_by_run(names: Sequence[str], rows: Rows, width: int | None) -> None:
    """Print a column per run, as many beside each other as there is room for."""
    labels = [label for label, _ in rows]
    room = max(map(cell_len, labels))
    longest = max(cell_len(text) for _, texts in rows for text in (*names, *texts))
    if width is not None:
        room = min(room, max(width // 2, 12))
        longest = min(_LONGEST, max(width - room - GAP, 8))
    columns = [(one_line(name), [one_line(texts[place]) for _, texts in rows]) for place, name in enumerate(names)]
    widths = [min(longest, max(map(cell_len, (name, *cells)))) for name, cells in columns]
    while columns:
        count = 1
        while count < len(columns) and (width is None or room + sum(widths[: count + 1]) + GAP * (count + 1) <= width):
            count += 1
        print_columns([("", labels), *columns[:count]], [room, *widths[:count]], numbers=False)
        print()
        del columns[:count], widths[:count]
