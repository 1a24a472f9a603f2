"""What says how good an architecture is, by the names of ``--evaluator``: scores, a table, a short training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from naswot_lightning.registry import resolve

if TYPE_CHECKING:
    from naswot_lightning.searching.evaluators.base import Evaluator, EvaluatorContext

# Import paths, so that --help lists the names without loading torch.
EVALUATORS = {
    "scores": "naswot_lightning.searching.evaluators.base:score_evaluator",
    "table": "naswot_lightning.searching.evaluators.table:table_evaluator",
    "train": "naswot_lightning.searching.evaluators.train:training_evaluator",
}


def get_evaluator(name: str) -> Callable[[EvaluatorContext], Evaluator]:
    """Return the constructor of the evaluator of that name; of another, raise :class:`UserError` with the names."""
    made: Callable[[EvaluatorContext], Evaluator] = resolve("evaluator", name, EVALUATORS)
    return made
