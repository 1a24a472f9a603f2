"""Mistakes with a space or an architecture: one line that names the value and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpaceError(ValueError):
    """A space, an architecture or an operation that does not exist; the message is written for the user."""


def did_you_mean(word: str, words: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the end of a message that names the word which is most like one that is unknown.

    Args:
        word: that is unknown.
        words: those that are known.
        cutoff: how like it must be, of 1.

    >>> did_you_mean("nor_conv_3x2", ["nor_conv_3x3", "none"])
    "; did you mean 'nor_conv_3x3'?"
    >>> did_you_mean("pool", ["none"])
    ''
    """
    near = difflib.get_close_matches(word, list(words), 1, cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""
