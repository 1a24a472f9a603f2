"""What says how good an architecture is, by the names of ``--evaluator``: scores, a table, a short training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from naswot_lightning.registry import resolve

if TYPE_CHECKING:
    from naswot_lightning.search.evaluators.base import Conditions, Evaluator

# The registry: a name, and where its constructor is.
EVALUATORS = {
    "scores": "naswot_lightning.search.evaluators.base:score_evaluator",
    "table": "naswot_lightning.search.evaluators.table:table_evaluator",
    "train": "naswot_lightning.search.evaluators.training:training_evaluator",
}


class MakesEvaluator(Protocol):
    """The constructor of an evaluator."""

    def __call__(self, conditions: Conditions) -> Evaluator:
        """Return an evaluator of architectures of a space."""
        ...


def get_evaluator(name: str) -> MakesEvaluator:
    """Return the constructor of the evaluator of that name.

    Raises:
        UserError: no such evaluator; the message lists the names.
    """
    made: MakesEvaluator = resolve("evaluator", name, EVALUATORS)
    return made
