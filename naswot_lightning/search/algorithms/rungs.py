"""Rungs of successive halving (Jamieson & Talwalkar, 2016): the best of one are trained for longer on the next."""

from __future__ import annotations

from collections.abc import Sequence

from naswot_lightning.search.algorithms.candidates import merit
from naswot_lightning.search.trial import Proposal, Trial
from naswot_lightning.storage.score_rows import ScoreRow


def on_rung(architecture: str, eta: int, below: int) -> Proposal:
    """Return the proposal of an architecture ``below`` rungs under the top, whose trainings are whole.

    >>> on_rung("a", 2, 0), on_rung("a", 2, 2)
    ('a', Trial(architecture='a', fidelity=0.25))
    """
    return Trial(architecture, 1 / eta**below) if below else architecture


def best_of(rows: Sequence[ScoreRow], count: int) -> list[str]:
    """Return the architectures of the best rows, best first; of equal ones, those that were proposed first."""
    return [row.architecture for row in sorted(rows, key=merit, reverse=True)[:count]]
