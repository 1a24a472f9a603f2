"""Evaluators: from an architecture to its scores, or to its accuracy after some epochs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from naswot_lightning.columns import VAL_ACC, Column, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.scorer import Evaluation, ScoreEvaluator
from naswot_lightning.searching.algorithms.base import Proposal, Trial, architecture_of

if TYPE_CHECKING:
    from naswot_lightning.benchmarks import Table
    from naswot_lightning.config import SearchConfig
    from naswot_lightning.data.probe import Probe
    from naswot_lightning.spaces import Space


@dataclass(frozen=True)
class EvaluatorContext:
    """What an evaluator is made from: the settings of the search, and the objects they name."""

    config: SearchConfig
    space: Space
    criteria: tuple[Criterion, ...]
    """those of ``--score``; an evaluator that knows no scores has its own."""
    device: str
    """by its name, which means the device of the process that computes."""
    load_probes: Callable[[], Sequence[Probe]]
    """returns the data set's mini-batches, one for each repeat; they are loaded once."""
    benchmark: Table | None = None
    needs_initial_scores: bool = False
    """the algorithm begins with scores, whatever evaluates the candidates after them."""

    def initial_scorer(self) -> ScoreEvaluator | None:
        """Return what scores networks for an algorithm that begins with scores; None for any other."""
        return score_evaluator(self) if self.needs_initial_scores else None


class Evaluator(Protocol):
    """A :class:`~naswot_lightning.execution.base.Task` from architectures to evaluations.

    One that also takes trials of an architecture, with a part of the effort, has ``epochs``: those of a whole one.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it measures; the first decides the status."""

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What the ranking is ordered by, out of these columns; the first decides."""

    @property
    def fingerprint(self) -> str:
        """Of the data that it measures on; every row of a run folder has the same."""

    def prepare(self) -> None:
        """Get ready; called once in each process."""

    def __call__(self, architecture: str, /) -> Evaluation:
        """Return the evaluation of one architecture; a fault of its network is a status, not an error."""


def score_evaluator(context: EvaluatorContext) -> ScoreEvaluator:
    """Return the evaluator of the scores that are asked for, each computed once."""
    config, probes = context.config, context.load_probes()
    names = list(dict.fromkeys(part.name for criterion in context.criteria for part in criterion.parts))
    settings = (config.seed, context.device, config.precision, context.criteria, config.units)
    return ScoreEvaluator(context.space, probes, names, *settings)


class MultiFidelityEvaluator(ABC):
    """Base of tables and trainings: a fidelity is a number of whole epochs, and fidelity 0 is scored."""

    epochs: int
    scorer: ScoreEvaluator | None
    """scores networks at initialization; None where the algorithm asks for no scores."""
    activity: str
    """what is done for any other trial than a score, for the bar of a search."""
    criteria = (Criterion((VAL_ACC,)),)
    # Threads that wait for trainings share the random numbers of this process.
    _lock = Lock()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The accuracy, and the scores where they are asked for."""
        return (VAL_ACC, *(self.scorer.columns if self.scorer else ()))

    def prepare(self) -> None:
        """Get ready to score; trainings have processes of their own, and tables are open."""
        if self.scorer:
            self.scorer.prepare()

    def __call__(self, proposal: Proposal) -> Evaluation:
        """Return the score of a trial without training, or the accuracy after its epochs."""
        architecture = architecture_of(proposal)
        fidelity = proposal.fidelity if isinstance(proposal, Trial) else 1.0
        if not fidelity:
            if self.scorer is None:
                raise UserError("the algorithm asks for scores, so its class must set needs_initial_scores = True")
            with self._lock:
                scored = self.scorer(architecture)
            return replace(scored, scores={**scored.scores, VAL_ACC.name: None})
        trained = self.train(architecture, max(1, round(fidelity * self.epochs)))
        # The accuracy comes first; scores were not asked for.
        return replace(trained, scores={**trained.scores, **dict.fromkeys(column.name for column in self.columns[1:])})

    @abstractmethod
    def train(self, architecture: str, epochs: int) -> Evaluation:
        """Return the accuracy after so many epochs."""
