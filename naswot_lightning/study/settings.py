"""The options of ``naswot study``."""

from __future__ import annotations

from dataclasses import dataclass, field

from naswot_lightning.errors import UserError


@dataclass
class StudyConfig:
    """Report how well scores rank the candidates of a search, how much of that is model size, and how stable it is."""

    run_dir: list[str] = field(default_factory=list)
    """The run folder of a search. Further run folders, with the same architectures but another seed, probe batch or
    batch size, show how stable the scores are."""
    benchmark: str | None = None
    """A table of known accuracies (made by naswot benchmarks convert), or a CSV file with the columns architecture and
    accuracy. Default: the trained picks of the run folder."""
    benchmark_dataset: str | None = None
    """The data set whose accuracies to take from --benchmark. Default: all in the table."""
    target: str | None = None
    """A column of --benchmark to use instead of accuracy, such as a latency. Its sign is not changed: for latency, a
    score that prefers fast networks has a negative tau."""
    score: str | None = None
    """The scores to study, as in naswot search. Default: all scores in the run folder, parameters and MACs, and every
    combination by ranks whose parts are in the run folder."""
    out: str | None = None
    """The folder for study.csv, study.json and study.png. Default: study in the first run folder."""

    def __post_init__(self) -> None:
        if not self.run_dir:
            raise UserError("--run_dir is missing: give the run folder of a search, such as --run_dir runs/mine")
        for name in ("benchmark_dataset", "target"):
            if getattr(self, name) is not None and self.benchmark is None:
                raise UserError(f"--{name} {getattr(self, name)}: needs --benchmark TABLE")
