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
    """Write report.html and the figures of a run, even while it is still running; compare several runs on one page."""

    run_dir: list[str] = field(default_factory=list)
    """The run folder of naswot search or naswot train. Several are compared in comparison.html and a figure."""
    figure: list[str] = field(default_factory=list)
    """Draw only these figures: {figures}, your own (module.name), or all. Default: report.html and every figure for
    which the run has data. figure1, figure5 and jacobian_histograms, if named, score networks again; the scores of
    figure5 are kept."""
    format: list[str] = field(default_factory=lambda: ["png"])
    """File formats of each figure: png, svg, pdf."""
    out: str | None = None
    """The folder to write to. Default: the run folder, with figures in its folder figures; for several runs, the
    current folder."""
    samples: int = 20
    """figure5: number of scores per network in each panel."""
    batch_sizes: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    """figure5: batch sizes of the fourth panel."""
    data_dir: str | None = None
    """The folder of the data set, for figures that score networks again. Default: as in the search."""
    device: str = "auto"
    """The device for figures that score networks again: auto, cpu, cuda, cuda:1, ..."""
    overwrite: bool = False
    """figure5: measure again if its scores were measured with different settings."""
    trust: bool = False
    """Allow the run folder to name your own code by import path (space and data set, for figures that score networks
    again, and score), which is then run."""

    def __post_init__(self) -> None:
        if not self.run_dir:
            raise UserError("--run_dir is missing: give a run folder, such as --run_dir runs/mine")
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
