"""What a benchmark knows of the candidates of a search: their accuracies, and what these say of the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from naswot_lightning.analysis.evidence import correlations, judge
from naswot_lightning.analysis.results import Network, TrainingResult
from naswot_lightning.analysis.statistics import describe_method
from naswot_lightning.benchmarks import Benchmark
from naswot_lightning.benchmarks.targets import Target
from naswot_lightning.columns import BENCHMARK_ACC, TEST_ACC
from naswot_lightning.ranking import as_dicts
from naswot_lightning.report.run import BenchmarkEvidence
from naswot_lightning.storage.files import write_json
from naswot_lightning.storage.score_rows import ScoreRow


@dataclass(frozen=True)
class BenchmarkLookup:
    """A table, and which of its accuracies are reported."""

    benchmark: Benchmark
    target: Target
    """the accuracy on test images after the longest training."""

    def accuracies(self, rows: Sequence[ScoreRow]) -> np.ndarray:
        """Return the accuracy of each candidate as a share; NaN where the table does not know it."""
        values = (self.target.accuracy(self.benchmark, row.architecture) for row in rows)
        return np.array([np.nan if value is None else value for value in values])

    def best(self) -> float | None:
        """Return the best accuracy of the table as a share."""
        values = (self.target.accuracy(self.benchmark, each) for each in self.benchmark.architectures)
        return max((value for value in values if value is not None), default=None)


def find_benchmark_evidence(ranking: pd.DataFrame, lookup: BenchmarkLookup) -> BenchmarkEvidence:
    """Return what a table says of a ranking."""
    rows = list(as_dicts(ranking))
    networks = [network for row in rows if (network := _network(row, lookup.target)) is not None]
    accuracies = [row[BENCHMARK_ACC.name] for row in rows]
    return BenchmarkEvidence(
        benchmark=lookup.benchmark.name,
        target=lookup.target,
        networks=len(networks),
        candidates=len(ranking),
        pick=accuracies[0],
        best_candidate=max((each for each in accuracies if each is not None), default=None),
        best=lookup.best(),
        correlations=correlations(networks, TEST_ACC.name),
        verdict=judge(networks),
    )


def write_benchmark_evidence(folder: Path, found: BenchmarkEvidence) -> None:
    """Write what a table says of a ranking as ``benchmark_evidence.json``."""
    write_json(folder / "benchmark_evidence.json", {"method": describe_method(found.networks), **asdict(found)})


def _network(row: Mapping[str, Any], target: Target) -> Network | None:
    accuracy = row[BENCHMARK_ACC.name]
    if accuracy is None or row["score"] is None:
        return None
    result = TrainingResult(
        rank=row["rank"],
        space="",
        architecture=row["architecture"],
        canonical=row["canonical"],
        dataset=target.dataset,
        seed=0,
        epochs=target.epochs,
        score_init=row["score"],
        score_final=None,
        test_set=target.split,
        best_val_acc=None,
        test_acc=accuracy,
        params=row["params"],
        macs=row["macs"],
    )
    return Network((result,))
