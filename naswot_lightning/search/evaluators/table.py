"""The accuracies of a benchmark's table: a search without any training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from naswot_lightning.benchmarks import Benchmark
from naswot_lightning.benchmarks.targets import Target, search_target
from naswot_lightning.columns import VAL_ACC, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.scorer import Evaluation, Json, ScoreEvaluator
from naswot_lightning.search.evaluators.base import Conditions
from naswot_lightning.search.evaluators.staged import Staged
from spaces import Complexity


class TableEvaluator(Staged):
    """Looks up what a training would have given, and the seconds that it would have taken.

    Args:
        benchmark: the table.
        target: which of its accuracies, after how many epochs.
        fingerprint: of the table.
        size: parameters and multiply-accumulates of an architecture.
        load_scores: as for :class:`Staged`.
        settings: that decide the accuracies, by the names of their options.
    """

    criteria = (Criterion((VAL_ACC,)),)
    activity = "looking up"

    def __init__(
        self,
        benchmark: Benchmark,
        target: Target,
        fingerprint: str,
        size: Callable[[str], Complexity],
        load_scores: Callable[[], ScoreEvaluator] | None = None,
        settings: Mapping[str, Json] | None = None,
    ) -> None:
        super().__init__(target.epochs, load_scores)
        self._settings = dict(settings or {})
        self.benchmark, self.target, self.fingerprint, self._size = benchmark, target, fingerprint, size

    def identity(self) -> Mapping[str, Json]:
        """Return the settings that decide the accuracies, and the scores."""
        return {**self.settings_of_scores(), **self._settings}

    def prepare(self) -> None:
        """Nothing: a look-up takes microseconds, and the table is open."""

    def train(self, architecture: str, epochs: int) -> Evaluation:
        """Return the accuracy, as a share, and the seconds of training and one validation.

        Raises:
            UserError: the table has no accuracies after a part of the epochs.
        """
        target, benchmark = self.target, self.benchmark
        # The whole training is 1 epoch where the table does not say how long it was.
        whole = epochs >= self.epochs
        if whole:
            accuracy = benchmark.accuracy(architecture, target.dataset, target.split, self.epochs)
            seconds = benchmark.seconds(architecture, target.dataset, self.epochs)
        else:
            accuracy = benchmark.accuracy_at(architecture, target.dataset, target.split, self.epochs, epochs)
            seconds = benchmark.seconds_at(architecture, target.dataset, self.epochs, epochs)
        if accuracy is None and not whole:
            raise UserError(
                f"{benchmark.name} knows no accuracy after {epochs} of {self.epochs} epochs ({target}): choose an "
                "algorithm that trains for all of them, such as rea or bohb:rungs=1"
            )
        if accuracy is None:
            return Evaluation({VAL_ACC.name: None}, "failed", f"the table has no accuracy of it ({target})")
        size = self._size(architecture)
        return Evaluation(
            {VAL_ACC.name: accuracy / 100}, "ok", params=size.params, macs=size.macs, seconds=seconds or 0.0
        )


def table_evaluator(conditions: Conditions) -> TableEvaluator:
    """Return the evaluator of the table that is asked for.

    Raises:
        UserError: there is none.
    """
    if conditions.benchmark is None or conditions.benchmark_path is None:
        raise UserError("--evaluator table: give the table with --benchmark FILE")
    dataset = str(conditions.benchmark_dataset or conditions.images["dataset"])
    exact = conditions.benchmark_dataset is not None
    target = search_target(conditions.benchmark, dataset, conditions.epochs, exact)
    return TableEvaluator(
        conditions.benchmark,
        target,
        table_fingerprint(conditions.benchmark_path),
        conditions.space.complexity,
        conditions.load_scores,
        {
            "dataset": conditions.images["dataset"],
            "epochs": conditions.epochs,
            "benchmark_dataset": conditions.benchmark_dataset,
        },
    )


def table_fingerprint(path: Path) -> str:
    """Return 16 digits that another table does not share."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
