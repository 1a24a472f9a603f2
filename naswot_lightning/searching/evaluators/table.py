"""A benchmark's table in place of trainings, and as evidence for a ranking."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from naswot_lightning.analysis.evidence import choices_of, correlations, judge
from naswot_lightning.analysis.results import Network, TrainingResult
from naswot_lightning.analysis.statistics import describe_method
from naswot_lightning.benchmarks import Table
from naswot_lightning.benchmarks.targets import Target, search_target
from naswot_lightning.columns import BENCHMARK_ACC, VAL_ACC
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import as_dicts
from naswot_lightning.report.run import BenchmarkEvidence
from naswot_lightning.scorer import Evaluation, ScoreEvaluator
from naswot_lightning.searching.evaluators.base import EvaluatorContext, MultiFidelityEvaluator
from naswot_lightning.spaces import Complexity
from naswot_lightning.storage.files import write_json
from naswot_lightning.storage.score_rows import ScoreRow


@dataclass
class TableEvaluator(MultiFidelityEvaluator):
    """Looks up the accuracy that a training would have reached, and its seconds."""

    benchmark: Table
    target: Target
    """which of its accuracies, after how many epochs."""
    fingerprint: str
    size: Callable[[str], Complexity]
    """counts the parameters and multiply-accumulates of an architecture."""
    scorer: ScoreEvaluator | None = None
    activity = "looking up"

    def __post_init__(self) -> None:
        self.epochs = self.target.epochs

    def train(self, architecture: str, epochs: int) -> Evaluation:
        """Return the accuracy, as a share, and the seconds of training and one validation."""
        target, benchmark = self.target, self.benchmark
        # The whole training has 0 epochs where the table does not say how long it was.
        done = min(epochs, self.epochs)
        accuracy = benchmark.accuracy_at(architecture, target.dataset, target.split, self.epochs, done)
        seconds = benchmark.seconds_at(architecture, target.dataset, self.epochs, done)
        if accuracy is None and done < self.epochs:
            cure = "choose an algorithm that trains for all epochs, such as rea or bohb:rungs=1"
            known = f"{benchmark.name} has no accuracy after {epochs} of {self.epochs} epochs ({target})"
            raise UserError(f"{known}: {cure}")
        if accuracy is None:
            return Evaluation({VAL_ACC.name: None}, "failed", f"the table has no accuracy for it ({target})")
        found, size = {VAL_ACC.name: accuracy / 100}, self.size(architecture)
        return Evaluation(found, "ok", params=size.params, macs=size.macs, seconds=seconds or 0.0)


def table_evaluator(context: EvaluatorContext) -> TableEvaluator:
    """Return the evaluator of the table that is asked for; raise :class:`UserError` where there is none."""
    config = context.config
    if context.benchmark is None or config.benchmark is None:
        raise UserError("--evaluator table: needs a table; give --benchmark FILE")
    exact = config.benchmark_dataset is not None
    target = search_target(context.benchmark, config.benchmark_dataset or config.dataset, config.epochs, exact)
    # 64 bits, which another table does not share.
    fingerprint = hashlib.sha256(Path(config.benchmark).read_bytes()).hexdigest()[:16]
    return TableEvaluator(context.benchmark, target, fingerprint, context.space.complexity, context.initial_scorer())


@dataclass(frozen=True)
class BenchmarkLookup:
    """A table, and which of its accuracies are reported: those on test images after the longest training."""

    benchmark: Table
    target: Target

    def accuracies(self, rows: Sequence[ScoreRow]) -> np.ndarray:
        """Return the accuracy of each candidate as a share; NaN where the table does not know it."""
        values = (self.target.accuracy(self.benchmark, row.architecture) for row in rows)
        return np.array([np.nan if value is None else value for value in values])

    def write_evidence(self, folder: Path, ranking: pd.DataFrame) -> BenchmarkEvidence:
        """Compare a ranking with the table, write ``benchmark_evidence.json``, and return its content."""
        rows, target = list(as_dicts(ranking)), self.target
        accuracies = [row[BENCHMARK_ACC.name] for row in rows]
        # A network of the table is as one that was trained here, once.
        fixed: dict[str, Any] = {"space": "", "dataset": target.dataset, "seed": 0, "epochs": target.epochs}
        fixed |= {"score_final": None, "test_set": target.split, "best_val_acc": None}
        networks = []
        for row, accuracy in zip(rows, accuracies, strict=True):
            if accuracy is not None and row["score"] is not None:
                own = {name: row[name] for name in ("rank", "architecture", "canonical", "params", "macs")}
                result = TrainingResult(**own, **fixed, score_init=row["score"], test_acc=accuracy)
                networks.append(Network((result,)))
        verdict = judge(networks)
        of_table = (target.accuracy(self.benchmark, each) for each in self.benchmark.architectures)
        found = BenchmarkEvidence(
            benchmark=self.benchmark.name,
            target=target,
            networks=len(networks),
            candidates=len(rows),
            pick=accuracies[0],
            best_candidate=max((each for each in accuracies if each is not None), default=None),
            best=max((each for each in of_table if each is not None), default=None),
            correlations=correlations(networks),
            verdict=verdict,
            choices=choices_of(networks, verdict.size),
        )
        write_json(folder / "benchmark_evidence.json", {"method": describe_method(found.networks), **asdict(found)})
        return found
