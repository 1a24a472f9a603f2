"""The accuracies of a benchmark's table: a search without any training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from naswot_lightning.benchmarks import Benchmark
from naswot_lightning.benchmarks.targets import Target, search_target
from naswot_lightning.columns import VAL_ACC
from naswot_lightning.errors import UserError
from naswot_lightning.scorer import Evaluation, ScoreEvaluator
from naswot_lightning.search.evaluators.base import EvaluatorContext, MultiFidelityEvaluator
from spaces import Complexity


class TableEvaluator(MultiFidelityEvaluator):
    """Looks up what a training would have given, and the seconds that it would have taken.

    Args:
        benchmark: the table.
        target: which of its accuracies, after how many epochs.
        fingerprint: of the table.
        size: parameters and multiply-accumulates of an architecture.
        scorer: as for :class:`~naswot_lightning.search.evaluators.base.MultiFidelityEvaluator`.
    """

    activity = "looking up"

    def __init__(
        self,
        benchmark: Benchmark,
        target: Target,
        fingerprint: str,
        size: Callable[[str], Complexity],
        scorer: ScoreEvaluator | None = None,
    ) -> None:
        super().__init__(target.epochs, scorer)
        self.benchmark, self.target, self.fingerprint, self._size = benchmark, target, fingerprint, size

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


def table_evaluator(context: EvaluatorContext) -> TableEvaluator:
    """Return the evaluator of the table that is asked for; raise :class:`UserError` where there is none."""
    config = context.config
    if context.benchmark is None or config.benchmark is None:
        raise UserError("--evaluator table: give the table with --benchmark FILE")
    exact = config.benchmark_dataset is not None
    target = search_target(context.benchmark, config.benchmark_dataset or config.dataset, config.epochs, exact)
    fingerprint = table_fingerprint(Path(config.benchmark))
    return TableEvaluator(context.benchmark, target, fingerprint, context.space.complexity, context.initial_scorer())


def table_fingerprint(path: Path) -> str:
    """Return 16 digits that another table does not share."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
