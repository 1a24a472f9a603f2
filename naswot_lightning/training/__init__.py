"""Training: the picks of a ranking, each in a process of its own, then their comparison."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naswot_lightning.training.plan import plan_training
    from naswot_lightning.training.run import run_training

_EXPORTS = {"plan_training": "plan", "run_training": "run"}

__all__ = ["plan_training", "run_training"]


def __getattr__(attribute: str) -> object:  # torch costs seconds: loaded on first use
    if attribute not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[attribute]}"), attribute)
