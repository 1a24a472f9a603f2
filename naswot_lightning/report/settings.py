"""The options of ``python -m naswot_lightning.report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.report.figures import FIGURES, FORMATS

ALL = "all"


@dataclass
class ReportConfig:
    """Write report.html and figures of a run from its files, also of one that is still at work."""

    run_dir: list[str] = field(default_factory=list)
    """the run folder of a search or of trainings."""
    figure: list[str] = field(default_factory=list)
    """only these figures: {figures}, or all; by default each that has something to show, and report.html."""
    format: list[str] = field(default_factory=lambda: ["png"])
    """the files of each: png, svg, pdf."""
    out: str | None = None
    """the folder of what is written; by default the run folder, and figures in it."""

    def __post_init__(self) -> None:
        if not self.run_dir:
            raise UserError("--run_dir: give a run folder, such as --run_dir runs/mine")
        self.figure = [expect_name("figure", name, [*FIGURES, ALL]) for name in _split(self.figure)]
        self.format = [expect_name("format", name, FORMATS) for name in _split(self.format)]
        if not self.format:
            raise UserError(f"--format: give at least one of {', '.join(FORMATS)}")

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures that are asked for; of none, all."""
        asked = self.figure or [ALL]
        return tuple(name for name in FIGURES if name in asked or ALL in asked)


def _split(words: Sequence[str]) -> list[str]:
    """Return names that stand apart, or with commas between them, each once."""
    return list(dict.fromkeys(name for word in words for name in word.split(",") if name))
