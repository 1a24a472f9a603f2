"""How large a network may be, checked from numbers alone: before a module is made, and before a text is a number."""

from __future__ import annotations

from spaces.errors import SpaceError, TooLargeError, quoted

# 4 GB of weights. The largest networks that a space samples are those of nds_resnext_b, of 0.55 billion.
MAX_PARAMS = 1_000_000_000


def read_bounded(fault: str, what: str, text: str, most: int, unit: str) -> int:
    """Read a positive number that is written in digits and does not begin with 0.

    Args:
        fault: what the message begins with.
        what: the number is of.
        text: the digits, however many: Python refuses to read more than 4,300.
        most: the largest value.
        unit: of the number.

    Raises:
        TooLargeError: the number is larger.

    >>> read_bounded("architecture 'C16-L8'", "depth", "8", 200, "cells")
    8
    >>> read_bounded("architecture 'C16-L999'", "depth", "999", 200, "cells")
    Traceback (most recent call last):
    spaces.errors.TooLargeError: architecture 'C16-L999': a depth of 999, expected at most 200 cells
    """
    if len(text) > len(str(most)) or int(text) > most:
        shown = text if len(text) <= 20 else quoted(text)
        raise TooLargeError(f"{fault}: a {what} of {shown}, expected at most {most:,} {unit}")
    return int(text)


def expect_buildable(fault: str, params: int) -> None:
    """Raise :class:`TooLargeError` where a network has more parameters than are built.

    Args:
        fault: what the message begins with.
        params: parameters, which need be no exact count.
    """
    if params > MAX_PARAMS:
        raise TooLargeError(
            f"{fault}: about {params / 1e9:,.1f} billion parameters, expected at most {MAX_PARAMS // 10**9} billion; "
            "make it narrower or less deep"
        )


def expect_option(name: str, value: int, least: int, most: int) -> None:
    """Raise :class:`SpaceError` unless an option of a space is within its bounds."""
    if not least <= value <= most:
        bound = f"at least {least}" if value < least else f"at most {most:,}"
        raise SpaceError(f"{name} {value}: expected {bound}")
