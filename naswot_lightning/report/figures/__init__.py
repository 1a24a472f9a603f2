"""The figures of a run, a file per kind of plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naswot_lightning.errors import warn_of_failure
from naswot_lightning.registry import names_of, resolve
from naswot_lightning.storage.files import atomic_path, write_csv
from naswot_lightning.storage.run_folder import FIGURE_MARK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run

_DPI = 150
# What each kind of file says of its origin; no date, so that the same figure gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": FIGURE_MARK.decode()},
    "svg": {"Creator": FIGURE_MARK.decode(), "Date": None},
    "pdf": {"Creator": FIGURE_MARK.decode(), "CreationDate": None},
}
FORMATS = tuple(_METADATA)


def draw_figures(
    run: Run, findings: Findings, folder: Path, names: Sequence[str] = (), formats: Sequence[str] = ("png",)
) -> dict[str, Path]:
    """Draw the figures that have something to show, all by default; one that cannot be drawn is a line of warning.

    Return the files of the first format by the names of the figures. A disk that is full raises its OSError: it would
    take none of the others either.
    """
    drawn = {}
    for name in names or names_of("figure"):
        files = [folder / f"{name}.{ending}" for ending in formats]
        with warn_of_failure(f"{files[0]} cannot be drawn", (OSError,)):
            figure = resolve("figure", name)(run, findings)
            if figure is not None:
                for file in files:
                    save_figure(figure, file)
                drawn[name] = files[0]
    return drawn


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's name; the file carries our mark, and no date."""
    from matplotlib import rc_context

    kind = path.suffix.removeprefix(".")
    with atomic_path(path) as beside, rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(beside, dpi=_DPI, format=kind, metadata=_METADATA[kind])


def write_results(path: Path, rows: Sequence[Mapping[str, object]], draw: Callable[[], Figure | None]) -> None:
    """Write ``path`` with the endings .csv and .png, and print their names.

    A figure that cannot be drawn is one line of warning: its numbers are in the CSV.
    """
    csv, png = path.with_suffix(".csv"), path.with_suffix(".png")
    write_csv(csv, rows, list(rows[0]) if rows else [])
    written = [csv]
    with warn_of_failure(f"{png} cannot be drawn"):
        if (figure := draw()) is not None:
            save_figure(figure, png)
            written.append(png)
    print(", ".join(map(str, written)))
