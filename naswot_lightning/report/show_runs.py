"""Several runs beside each other: on the terminal, as a page and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from naswot_lightning.console import GAP, print_columns, print_text, terminal_width
from naswot_lightning.errors import UserError, warn_of_failure
from naswot_lightning.report.compare_runs import Agreement, RunsComparison, compare_runs, read_runs
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.curves import draw_runs, relative
from naswot_lightning.report.html.document import render
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.storage.files import atomic_write
from naswot_lightning.storage.run_folder import RunFolder
from spaces.errors import one_line

PAGE = "comparison.html"
FIGURE = "trajectories_of_runs"
_TITLE = "Runs compared · naswot-lightning"
_MARK = b'<meta name="generator" content="naswot-lightning">'
# Columns of a value on a terminal.
_LONGEST = 38
Rows = Sequence[tuple[str, tuple[str, ...]]]


def compare_folders(config: ReportConfig) -> int:
    """Compare the runs of several folders, in which nothing is written, and name the files; return 0.

    Raises:
        UserError: a figure of one run is asked for, a folder holds no run, a file of it is damaged, or the page would
            take the place of a file that is not ours.
    """
    if config.figure:
        raise UserError(f"--figure {' '.join(config.figure)}: figures are of one run; leave it out to compare several")
    out = Path(config.out or ".")
    if (page := out / PAGE).exists() and (not page.is_file() or _MARK not in page.read_bytes()[:4000]):
        raise UserError(f"{page} is not a page of ours: move it away, or give another folder with --out")
    found = compare_runs(read_runs([RunFolder(path) for path in config.run_dir]))
    print_runs(found)
    files = [out / f"{FIGURE}.{ending}" for ending in config.format]
    with warn_of_failure(f"{files[0]} cannot be drawn"):
        if (figure := draw_runs(dict(zip(found.names, found.trajectories, strict=True)))) is not None:
            for file in files:
                save_figure(figure, file)
            print(f"\nFigure: {', '.join(map(str, files))}")
    atomic_write(page, render_comparison(found).encode("utf-8", "replace"))
    print(f"\nReport: {page}")
    return 0


def render_comparison(found: RunsComparison) -> str:
    """Return the page; the same comparison gives the same text."""

    def axes(points: Any) -> list[list[float]]:
        return [[x for x, _ in points], [y for _, y in points]]

    # Of each run its lines as (epochs, scores), and relative to init.
    runs = [
        {
            "name": name,
            "lines": [axes(points) for points in lines],
            "relative": [axes(each) for points in lines if (each := relative(points))],
        }
        for name, lines in zip(found.names, found.trajectories, strict=True)
    ]
    return render("runs.html", _TITLE, ("trainings", "runs"), "startRuns", {"runs": runs}, page=found)


def print_runs(found: RunsComparison) -> None:
    """Print what differs, the figures, and how far the rankings agree."""
    width = terminal_width()
    print_text("What differs in the settings" if found.differences else "The settings do not differ.")
    for rows in (found.differences, found.rows):
        labels = [label for label, _ in rows]
        room = max(map(cell_len, labels), default=0)
        longest = max((cell_len(text) for _, texts in rows for text in (*found.names, *texts)), default=0)
        if width is not None:
            room = min(room, max(width // 2, 12))
            longest = min(_LONGEST, max(width - room - GAP, 8))
        texts_of = [[one_line(texts[place]) for _, texts in rows] for place in range(len(found.names))]
        columns = list(zip(map(one_line, found.names), texts_of, strict=True)) if rows else []
        widths = [min(longest, max(map(cell_len, (name, *cells)))) for name, cells in columns]
        # As many runs beside each other as there is room for.
        while columns:
            ends = (room + sum(widths[:count]) + GAP * count for count in range(2, len(columns) + 1))
            count = len(columns) if width is None else 1 + sum(end <= width for end in ends)
            print_columns([("", labels), *columns[:count]], [room, *widths[:count]], numbers=False)
            print()
            del columns[:count], widths[:count]
    print_text("Kendall tau between the scores of networks that two runs share, with 95 % intervals")
    for each in found.agreements:
        print_text(f"  {describe_agreement(each)}", indent=" " * 4)


def describe_agreement(agreement: Agreement) -> str:
    """Return the agreement of two runs in words."""
    both = f"{one_line(agreement.first)} and {one_line(agreement.second)}"
    if agreement.tau is None or agreement.why is not None:
        return f"{both}: not compared: {agreement.why}"
    return f"{both}: {agreement.tau}, n = {agreement.tau.n:,} networks"
