"""The names that options take, out of the registries that resolve them; none of these loads torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from naswot_lightning.data.catalog import DATASETS
from naswot_lightning.execution import ENGINES
from naswot_lightning.proxies import SCORES
from naswot_lightning.search.algorithms import ALGORITHMS
from naswot_lightning.search.evaluators import EVALUATORS
from naswot_lightning.training.recipes import RECIPES, Optimizer
from spaces import list_spaces


def choices() -> dict[str, Iterable[str]]:
    """Return the names by what they are the names of."""
    return {
        "algorithms": ALGORITHMS,
        "datasets": DATASETS,
        "engines": ENGINES,
        "evaluators": EVALUATORS,
        "optimizers": get_args(Optimizer),
        "recipes": RECIPES,
        "scores": SCORES,
        "spaces": list_spaces(),
    }
