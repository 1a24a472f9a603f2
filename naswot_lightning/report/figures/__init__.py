"""The figures of a run, one file each."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from naswot_lightning.storage.files import written_beside
from naswot_lightning.storage.run_folder import FIGURE_MARK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run

# The registry: files of this folder with a function draw(run, findings) -> Figure | None, in the order they are shown.
FIGURES = [
    "figure6",
    "score_vs_accuracy",
]
_DPI = 150


def draw_figures(run: Run, findings: Findings, folder: Path) -> dict[str, Path]:
    """Draw every figure that has something to show as a PNG file; return the files by the figures' names."""
    drawn = {}
    for name in FIGURES:
        figure = import_module(f"{__name__}.{name}").draw(run, findings)
        if figure is not None:
            drawn[name] = folder / f"{name}.png"
            save_figure(figure, drawn[name])
    return drawn


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file that carries our mark."""
    with written_beside(path) as beside:
        figure.savefig(beside, dpi=_DPI, format="png", metadata={"Software": FIGURE_MARK.decode()})
