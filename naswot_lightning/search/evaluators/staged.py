"""An evaluator in two stages: scores at initialization for trials without training, accuracies for all others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock

from naswot_lightning.columns import VAL_ACC, Column
from naswot_lightning.errors import UserError
from naswot_lightning.scorer import Evaluation, Json, ScoreEvaluator
from naswot_lightning.search.trial import Proposal, Trial, architecture_of


@dataclass(frozen=True)
class Loaded:
    """What scores networks, in place of what loads it: that may hold a data set, and cannot be sent elsewhere.

    Attributes:
        scores: with its mini-batches.
    """

    scores: ScoreEvaluator

    def __call__(self) -> ScoreEvaluator:
        """Return it."""
        return self.scores


class Staged(ABC):
    """What a table and a training have in common: whole epochs from a fidelity, and scores for fidelity 0.

    Args:
        epochs: of a whole evaluation.
        load_scores: returns what scores networks; None where the algorithm asks for no scores.

    Attributes:
        activity: what is done for any other trial than a score, for the bar of a search.
    """

    activity: str

    def __init__(self, epochs: int, load_scores: Callable[[], ScoreEvaluator] | None) -> None:
        self.epochs = epochs
        self._load_scores = load_scores
        self._lock = Lock()  # threads that wait for trainings share the random numbers of this process

    @cached_property
    def scores(self) -> ScoreEvaluator | None:
        """What scores networks at initialization, ready."""
        if self._load_scores is None:
            return None
        scores = self._load_scores()
        scores.prepare()
        return scores

    @property
    def columns(self) -> tuple[Column, ...]:
        """The accuracy, and the scores where they are asked for."""
        return (VAL_ACC, *(self.scores.columns if self.scores else ()))

    def settings_of_scores(self) -> Mapping[str, Json]:
        """Return those that decide the scores."""
        return self.scores.identity() if self.scores else {}

    def __call__(self, proposal: Proposal) -> Evaluation:
        """Return the score of a trial without training, or the accuracy after its epochs."""
        architecture = architecture_of(proposal)
        fidelity = proposal.fidelity if isinstance(proposal, Trial) else 1.0
        if not fidelity:
            return self._score(architecture)
        values = self.train(architecture, max(1, round(fidelity * self.epochs)))
        # The accuracy comes first; scores were not asked for.
        return replace(values, scores={**values.scores, **dict.fromkeys(column.name for column in self.columns[1:])})

    @abstractmethod
    def train(self, architecture: str, epochs: int) -> Evaluation:
        """Return the accuracy after so many epochs."""

    def _score(self, architecture: str) -> Evaluation:
        if self.scores is None:
            raise UserError("the algorithm asks for scores: its class must say begins_with_scores = True")
        with self._lock:
            values = self.scores(architecture)
        return replace(values, scores={**values.scores, VAL_ACC.name: None})
