"""The options of ``naswot report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.registry import names_of
from naswot_lightning.report.figures import FORMATS
from naswot_lightning.spaces import is_import_path

ALL = "all"


@dataclass
class ReportConfig:
    """Write report.html and figures of a run from its files, also of one that is still at work."""

    run_dir: list[str] = field(default_factory=list)
    """the run folder of a search or of trainings; several are compared, in comparison.html and a figure."""
    figure: list[str] = field(default_factory=list)
    """only these figures: {figures}, of your own (module.name), or all; by default each that the files have something
    to show of, and report.html.
    figure1, figure5 and jacobian_histograms score networks anew where they are named; scores of figure5 are kept."""
    format: list[str] = field(default_factory=lambda: ["png"])
    """the files of each: png, svg, pdf."""
    out: str | None = None
    """the folder of what is written; by default the run folder, and figures in it, or of several runs the current
    folder."""
    samples: int = 20
    """of figure5: scores of each network, each way."""
    batch_sizes: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    """of figure5: images of the mini-batches of its fourth panel."""
    data_dir: str | None = None
    """the folder of the data set, for figures that score networks anew; by default that of the search."""
    device: str = "auto"
    """for the same figures: auto, cpu, cuda, cuda:1, ..."""
    overwrite: bool = False
    """measure figure5 anew where its scores were measured with other settings."""
    trust: bool = False
    """import the code that the run folder names: its space and data set for these figures, and its score."""

    def __post_init__(self) -> None:
        if not self.run_dir:
            raise UserError("--run_dir: give a run folder, such as --run_dir runs/mine")
        names = [*names_of("figure"), ALL]
        self.figure = [n if is_import_path(n) else expect_name("figure", n, names) for n in _split(self.figure)]
        self.format = [expect_name("format", name, FORMATS) for name in _split(self.format)]
        for name, number, most in (
            ("samples", self.samples, 1_000),
            *(("batch_sizes", size, 10_000) for size in self.batch_sizes),
        ):
            if not 2 <= number <= most:
                raise UserError(f"--{name} {number}: expected 2 to {most:,}")
        if not self.format:
            raise UserError(f"--format: give at least one of {', '.join(FORMATS)}")

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures that are asked for; of none, all."""
        asked = self.figure or [ALL]
        of_list = [name for name in names_of("figure") if name in asked or ALL in asked]
        return (*of_list, *(name for name in asked if is_import_path(name)))


def _split(words: Sequence[str]) -> list[str]:
    """Return names that stand apart, or with commas between them, each once."""
    return list(dict.fromkeys(name for word in words for name in word.split(",") if name))
