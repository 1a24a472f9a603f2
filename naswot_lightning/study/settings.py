"""The options of ``naswot study``."""

from __future__ import annotations

from dataclasses import dataclass, field

from naswot_lightning.errors import UserError


@dataclass
class StudyConfig:
    """How well the scores of a search rank its candidates, what of that is model size, and how stable they are."""

    run_dir: list[str] = field(default_factory=list)
    """the run folder of a search; after it further ones, of the same architectures with another seed, mini-batch or
    batch size, which show how stable the scores are."""
    benchmark: str | None = None
    """a table of known accuracies (naswot benchmarks convert), or a CSV of architecture and
    accuracy; the trained picks of the run folder by default."""
    benchmark_dataset: str | None = None
    """the data set of the table's accuracies; each that it has by default."""
    target: str | None = None
    """another column of the table than an accuracy, such as the latency on a device; each tau is with its values as
    they are, so that a score that prefers fast networks has a negative one."""
    score: str | None = None
    """the scores to study, as in naswot search; by default all that the run folder holds, parameters and MACs, and
    every mean of ranks whose parts it holds."""
    out: str | None = None
    """the folder of study.csv, study.json and study.png; study in the first run folder by default."""

    def __post_init__(self) -> None:
        if not self.run_dir:
            raise UserError("--run_dir: give the run folder of a search, such as --run_dir runs/mine")
        for name in ("benchmark_dataset", "target"):
            if getattr(self, name) is not None and self.benchmark is None:
                raise UserError(f"--{name} {getattr(self, name)}: it is of a table; give --benchmark, too")
