"""Search: rank candidates of a space at initialization (section 4, Algorithm 1)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naswot_lightning.search.plan import plan_search
    from naswot_lightning.search.run import run_search

_EXPORTS = {"plan_search": "plan", "run_search": "run"}

__all__ = ["plan_search", "run_search"]


def __getattr__(attribute: str) -> object:  # torch costs seconds: loaded on first use
    if attribute not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[attribute]}"), attribute)
