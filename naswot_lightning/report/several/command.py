"""From several run folders to their comparison: on the terminal, as a page and as a figure."""

from __future__ import annotations

from pathlib import Path

from naswot_lightning.errors import UserError, warn_of_failure
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.settings import ReportConfig
from naswot_lightning.report.several.beside import read_beside
from naswot_lightning.report.several.comparison import compare_runs
from naswot_lightning.report.several.page import render_comparison
from naswot_lightning.report.several.terminal import print_comparison
from naswot_lightning.storage.files import atomic_write
from naswot_lightning.storage.run_folder import RunFolder

PAGE = "comparison.html"
FIGURE = "trajectories_of_runs"
_MARK = b'<meta name="generator" content="naswot-lightning">'


def compare_folders(config: ReportConfig) -> int:
    """Compare the runs of several folders, in which nothing is written, and name the files.

    Returns:
        0.

    Raises:
        UserError: a figure of one run is asked for, a folder holds no run, a file of it is damaged, or the page would
            take the place of a file that is not ours.
    """
    from naswot_lightning.report.figures.trajectories_of_runs import draw_runs

    if config.figure:
        raise UserError(f"--figure {' '.join(config.figure)}: figures are of one run; leave it out to compare several")
    out = Path(config.out or ".")
    _expect_ours(out / PAGE)
    found = compare_runs(read_beside([RunFolder(path) for path in config.run_dir]))
    print_comparison(found)
    files = [out / f"{FIGURE}.{ending}" for ending in config.format]
    with warn_of_failure(f"{files[0]} cannot be drawn"):
        if (figure := draw_runs(found)) is not None:
            for file in files:
                save_figure(figure, file)
            print(f"\nFigure: {', '.join(map(str, files))}")
    atomic_write(out / PAGE, render_comparison(found).encode("utf-8", "replace"))
    print(f"\nReport: {out / PAGE}")
    return 0


def _expect_ours(path: Path) -> None:
    if path.exists() and (not path.is_file() or _MARK not in path.read_bytes()[:4000]):
        raise UserError(f"{path} is not a page of ours: move it away, or give another folder with --out")
