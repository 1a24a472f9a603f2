"""How the benchmarks train their networks: every value that a table's accuracy depends on, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.storage.records import STRICT, Positive

Optimizer = Literal["sgd", "rmsprop"]


@dataclass(frozen=True)
class Recipe:
    """One way to train; the learning rate always falls to zero along a cosine, step by step, over all epochs."""

    epochs: Positive
    batch_size: Positive = 256
    """Images per step, of all processes together."""
    optimizer: Optimizer = "sgd"
    """``sgd`` (Nesterov) or ``rmsprop``."""
    lr: float = 0.1
    """Initial learning rate."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    """L2 penalty of all parameters."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    gradient_clip: float | None = None
    """Largest norm of the gradient; None for no limit."""
    auxiliary_weight: float = 0.0
    """Weight of the loss of an auxiliary head; 0 for no head."""
    drop_path: float = 0.0
    """Probability of drop path in the last epoch, growing from 0 in the first."""

    __pydantic_config__ = STRICT


RECIPES = {
    "nasbench201-200": Recipe(200),
    "nasbench201-12": Recipe(12),
    "nats-size-90": Recipe(90),
    # Ying et al. 2019: two halves of a mini-batch, each at 0.1; RMSprop with epsilon 1 (see classifier.py).
    "nasbench101-108": Recipe(108, optimizer="rmsprop", lr=0.2, weight_decay=1e-4),
    # Radosavovic et al. 2019, with the weight of the head and drop path of DARTS (Liu et al. 2019).
    "nds-100": Recipe(100, batch_size=128, auxiliary_weight=0.4, drop_path=0.2),
}
NAMES = tuple(field.name for field in fields(Recipe))


def changes_of(name: str, recipe: Recipe) -> dict[str, Any]:
    """Return the values in which ``recipe`` differs from the one called ``name``.

    >>> changes_of("nasbench201-12", Recipe(12, batch_size=64))
    {'batch_size': 64}
    """
    own = asdict(RECIPES[name])
    return {key: value for key, value in asdict(recipe).items() if value != own[key]}


def resolve_recipe(name: str, chosen: Mapping[str, Any], has_parts: bool) -> Recipe:
    """Return a recipe, the values of ``chosen`` that are not None in place of its own.

    Where the space's networks do not have the parts (auxiliary head, drop path), the recipe's own do not apply, and to
    choose them is a UserError, as an unknown recipe is.

    >>> resolve_recipe("nasbench201-12", {"lr": 0.05, "epochs": None}, has_parts=False).lr
    0.05
    """
    recipe = RECIPES[expect_name("recipe", name, RECIPES)]
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if not has_parts:
        for part in ("auxiliary_weight", "drop_path"):
            if chosen.get(part):
                raise UserError(
                    f"--{part} {chosen[part]}: the networks of this space have no such part; leave the option out "
                    "(the cell spaces nds_* have)"
                )
        recipe = replace(recipe, auxiliary_weight=0.0, drop_path=0.0)
    return replace(recipe, **chosen)
