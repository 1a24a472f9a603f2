"""What algorithms with feedback share: draws within the limits, and the worth of what was drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from naswot_lightning.errors import UserError
from naswot_lightning.storage.score_rows import ScoreRow

if TYPE_CHECKING:
    from naswot_lightning.search.limits import Limits

# There is nothing more to find after this many draws in a row that were refused, or were known before.
_FRUITLESS_DRAWS = 1_000


def merit(row: ScoreRow) -> float:
    """Return the score of a candidate; one that is not ok is worse than all others."""
    return row.score if row.status == "ok" and row.score is not None else -math.inf


def drawn(draw: Callable[[], str | None], count: int, limits: Limits) -> list[str]:
    """Return ``count`` architectures, each drawn by itself; fewer where no more are found.

    Args:
        draw: returns an architecture, or None where what it drew is not of the space.
        count: how many.
        limits: what they are within.
    """
    found: list[str] = []
    refused = 0
    while len(found) < count and refused < _FRUITLESS_DRAWS:
        architecture = draw()
        if architecture is not None and limits.admit(architecture):
            found.append(architecture)
            refused = 0
        else:
            refused += 1
    return found


def distinct(draw: Callable[[], str | None], count: int, limits: Limits) -> list[str]:
    """Return ``count`` different architectures, as :func:`drawn`."""
    found: set[str] = set()

    def draw_new() -> str | None:
        architecture = draw()
        if architecture is None or architecture in found:
            return None
        found.add(architecture)
        return architecture

    return drawn(draw_new, count, limits)


def expect_some(found: list[str]) -> list[str]:
    """Return what a search begins with.

    Raises:
        UserError: it is nothing.
    """
    if not found:
        raise UserError("no architecture is within --max_params and --max_macs; raise the limits")
    return found


def expect_counts(algorithm: str, least: int = 1, **counts: int) -> None:
    """Raise :class:`UserError` where an option of an algorithm is less than the least."""
    for name, count in counts.items():
        if count < least:
            raise UserError(f"--algorithm {algorithm}: {name}={count}, expected {least} or more")
