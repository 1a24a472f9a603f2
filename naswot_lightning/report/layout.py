"""Tables of a given width: headings are wrapped, long texts folded in the middle, at last whole columns left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

GAP = "  "
_LEAST_TEXT = 24  # columns of a folded text before a column of numbers is left out for it
_LEAST_AT_ALL = 8
_FOLD = "…"


@dataclass(frozen=True)
class Fitted:
    """A table as lines of text.

    Attributes:
        head: the headings.
        body: a line a row.
        left_out: the columns for which there was no room.
    """

    head: tuple[str, ...]
    body: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def fit(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, optional: Sequence[str] = ()
) -> Fitted:
    r"""Return a table that is no wider than ``width`` where that is possible.

    Numbers stay whole. The last column is text, to the left; all others are to the right.

    Args:
        columns: the headings.
        rows: a cell a column.
        width: of the terminal; None for no limit.
        optional: columns that may be left out, the first ones first.

    >>> table = fit(["rank", "rectified units", "architecture"], [["1", "153,600", "|conv~0|+|conv~0|pool~1|"]], 34)
    >>> print(*table.head, *table.body, sep="\n")
          rectified
    rank      units  architecture
       1    153,600  |conv~0|…|pool~1|
    """
    present = [name for name in optional if name in columns]
    for count in range(len(present) + 1):
        places = [place for place, name in enumerate(columns) if name not in present[:count]]
        heads, cells = [columns[place] for place in places], [[row[place] for place in places] for row in rows]
        least = _LEAST_AT_ALL if count == len(present) else _LEAST_TEXT
        if (found := _fitted(heads, cells, width, least)) is not None:
            return Fitted(*found, tuple(present[:count]))
    whole = [[head] for head in heads]
    return Fitted(*_lines(whole, cells, _widths(whole, cells)), tuple(present))


def fold(text: str, width: int) -> str:
    """Return a text of at most ``width`` columns, its middle left out.

    >>> fold("|nor_conv_3x3~0|+|none~0|skip_connect~1|", 17)
    '|nor_con…nnect~1|'
    """
    if cell_len(text) <= width:
        return text
    left, right = (width - 1) // 2, width - 1 - (width - 1) // 2
    return set_cell_size(text, left) + _FOLD + set_cell_size(text[::-1], right)[::-1]


def _fitted(
    heads: Sequence[str], cells: list[list[str]], width: int | None, least: int
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    whole = [[head] for head in heads]
    widths = _widths(whole, cells)
    if width is None or _total(widths) <= width:
        return _lines(whole, cells, widths)
    wrapped = [_wrapped(head, max(map(cell_len, column), default=0)) for head, column in _columns(heads, cells)]
    widths = _widths(wrapped, cells)
    room = width - _total(widths[:-1]) - len(GAP) if len(widths) > 1 else width
    if room < min(least, widths[-1]):
        return None
    folded = [[*row[:-1], fold(row[-1], room)] for row in cells]
    return _lines(wrapped, folded, [*widths[:-1], min(room, widths[-1])])


def _columns(heads: Sequence[str], cells: list[list[str]]) -> list[tuple[str, list[str]]]:
    return [(head, [row[place] for row in cells]) for place, head in enumerate(heads)]


def _wrapped(head: str, width: int) -> list[str]:
    """Break a heading at its spaces, into lines of the width of the cells below it or of its longest word."""
    width = max(width, *map(cell_len, head.split(" ")))
    lines = [""]
    for word in head.split(" "):
        together = f"{lines[-1]} {word}".strip()
        lines[-1:] = [together] if cell_len(together) <= width else [lines[-1], word]
    return lines


def _widths(heads: list[list[str]], cells: list[list[str]]) -> list[int]:
    return [max(map(cell_len, [*head, *(row[place] for row in cells)])) for place, head in enumerate(heads)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _lines(
    heads: list[list[str]], cells: list[list[str]], widths: Sequence[int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    height = max(map(len, heads))
    above = [[""] * (height - len(head)) + head for head in heads]
    head = [_line([lines[number] for lines in above], widths) for number in range(height)]
    return tuple(head), tuple(_line(row, widths) for row in cells)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [" " * (width - cell_len(cell)) + cell for cell, width in zip(cells[:-1], widths, strict=False)]
    return GAP.join([*padded, cells[-1]]).rstrip()
