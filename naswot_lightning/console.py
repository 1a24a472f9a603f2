"""Tables and sentences on the terminal, its streams and Ctrl-C; libraries are loaded once something is printed."""

from __future__ import annotations

import io
import os
import signal
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.table import Table

_INTERRUPTED = 130
# Columns of the terminal between two of a table.
_GAP = 2
# Columns of a folded text before a column of numbers is left out for it.
_LEAST_TEXT = 24
_WIDTH_OF_A_FILE = 200


class _PatientStream(io.TextIOWrapper):
    """A stream whose reader may leave (``| head -1``): what is written then is lost, and the work goes on."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._forget_reader()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._forget_reader()

    def _forget_reader(self) -> None:
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, self.fileno())
        os.close(nobody)


def harden_streams() -> None:
    """Let output never end a command: closed, its reader gone, or in an encoding without the letters of a name."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # It is closed by the shell.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            # Not known once it is detached.
            encoding, by_line, at_once = stream.encoding, stream.line_buffering, stream.write_through
            setattr(sys, name, _PatientStream(stream.detach(), encoding, "backslashreplace", None, by_line, at_once))


def exit_on_signal() -> None:
    """Let Ctrl-C and SIGTERM end the process in one line while libraries are loaded: there is nothing to save yet.

    Loading is full of moments in which an exception is lost, or becomes another.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)


def restore_keyboard_interrupt() -> None:
    """Let Ctrl-C, and SIGTERM of a scheduler, raise KeyboardInterrupt: from here on there is work to save."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(signum) is _end:
            signal.signal(signum, signal.default_int_handler)


def _end(signum: int, frame: object) -> NoReturn:
    os.write(2, f"{os.path.basename(sys.argv[0])}: interrupted; run the same command again\n".encode())
    os._exit(_INTERRUPTED)


def has_bars() -> bool:
    """Return whether a bar on stderr is drawn again in its place: on a terminal, and in a notebook."""
    if sys.stderr.isatty():
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], optional: Sequence[str] = (),
    complete_in: str | None = None,
) -> None:  # fmt: skip
    """Print a table that is no wider than the terminal where that is possible; numbers stay whole.

    Headings are wrapped first, then the text of the last column is folded, at last ``optional`` columns are left out,
    the first ones first; ``complete_in`` is the file that holds them. All columns but the last stand to the right.
    """
    from rich.cells import cell_len

    limit = terminal_width()
    body = [[format_cell(value) for value in row] for row in rows]
    table = [(head, [row[number] for row in body]) for number, head in enumerate(columns)]
    droppable, left_out = [name for name in optional if name in columns], []
    while True:
        widths = [max(map(cell_len, (head, *cells))) for head, cells in table]
        gaps = _GAP * (len(table) - 1)
        if limit is None or sum(widths) + gaps <= limit:
            break
        narrow = [max(map(cell_len, (*head.split(), *cells))) for head, cells in table[:-1]]
        room = limit - sum(narrow) - gaps
        if room >= min(_LEAST_TEXT, widths[-1]) or not droppable:
            widths = [*narrow, min(widths[-1], max(room, 8))]
            break
        left_out.append(droppable.pop(0))
        table = [column for column in table if column[0] != left_out[-1]]
    if title:
        print_text(title)
    _print_columns(table, widths)
    if left_out and complete_in is not None:
        print_text(f"(without {', '.join(left_out)}: see {complete_in})")


def _print_columns(table: Sequence[tuple[str, Sequence[str]]], widths: Sequence[int]) -> None:
    """Print columns, each a heading and its cells; longer cells are folded."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for number, ((head, _), width) in enumerate(zip(table, widths, strict=True), start=1):
        justify: Any = "right" if number < len(table) else "left"
        grid.add_column(Text(head), justify=justify, vertical="bottom", width=width)
    for row in zip(*(cells for _, cells in table), strict=True):
        grid.add_row(*(Text(fold(cell, width)) for cell, width in zip(row, widths, strict=True)))
    _print_grid(grid, sum(widths) + _GAP * len(widths))


def print_words(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of words, which are wrapped to the terminal, or to 200 columns where there is none.

    Those of the first column stay whole.
    """
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for number, head in enumerate(columns):
        grid.add_column(head, no_wrap=not number, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    _print_grid(grid, terminal_width() or _WIDTH_OF_A_FILE)


def _print_grid(grid: Table, width: int) -> None:
    from rich.console import Console

    # In a notebook rich would write HTML, and codes of bold text into what a function keeps.
    console = Console(width=width, highlight=False, markup=False, force_jupyter=False)
    with console.capture() as drawn:
        console.print(grid)
    print(*(line.rstrip() for line in drawn.get().splitlines()), sep="\n")


def print_text(text: str, indent: str = "") -> None:
    """Print a line of words; on a terminal it is broken between them, and further lines are indented."""
    width = terminal_width()
    whole: Any = {"break_long_words": False, "break_on_hyphens": False}
    lines = [text] if width is None else textwrap.wrap(text, max(width, 20), subsequent_indent=indent, **whole)
    print(*lines, sep="\n")


def counted(n: int, one: str) -> str:
    """Return a number with what is counted.

    >>> counted(1, "network"), counted(2_000, "network")
    ('1 network', '2,000 networks')
    """
    return f"{n:,} {one}{'' if n == 1 else 's'}"


def terminal_width() -> int | None:
    """Return the columns of the terminal that the output goes to; None for a pipe or a file."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal else None


def format_cell(value: Any) -> str:
    """Return a value as a table shows it; what is missing is a dash."""
    from naswot_lightning.spaces.errors import one_line

    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else one_line(str(value))


def fold(text: str, width: int) -> str:
    """Return a text of at most ``width`` columns, its middle left out.

    >>> fold("|nor_conv_3x3~0|+|none~0|skip_connect~1|", 17)
    '|nor_con…nnect~1|'
    """
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    left, right = (width - 1) // 2, width - 1 - (width - 1) // 2
    return set_cell_size(text, left) + "…" + set_cell_size(text[::-1], right)[::-1]
