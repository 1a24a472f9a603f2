"""Spaces of independent decisions, for the algorithms that learn which options are good."""

from __future__ import annotations

from collections.abc import Sequence

from naswot_lightning.errors import UserError
from spaces import CategoricalSpace, Space, SpaceError, get_space, list_spaces


def categorical(space: Space, algorithm: str) -> CategoricalSpace:
    """Return the space as one of decisions.

    Raises:
        UserError: it is none; the message names those that are.
    """
    if isinstance(space, CategoricalSpace):
        return space
    known = ", ".join(name for name in list_spaces() if isinstance(get_space(name), CategoricalSpace))
    raise UserError(
        f"--algorithm {algorithm}: architectures of {space.name} are no fixed number of decisions; it searches {known}"
    )


def architecture_of(space: CategoricalSpace, decisions: Sequence[int]) -> str | None:
    """Return the architecture of the decisions, or None where they exclude each other."""
    try:
        return space.from_decisions(decisions)
    except SpaceError:
        return None
