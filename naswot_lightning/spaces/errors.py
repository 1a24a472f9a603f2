"""Mistakes with a space or an architecture, in one line; and bounds that are checked before a module is made."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# 4 GB of weights. The largest networks that a space samples are those of nds_resnext_b, of 0.55 billion.
MAX_PARAMS = 1_000_000_000


class SpaceError(ValueError):
    """A space, an architecture or an operation that does not exist; the message is written for the user."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class TooLargeError(SpaceError):
    """An architecture that is written as the space asks, and whose network is larger than is built."""


# In characters.
_LONGEST_MESSAGE = 1_900
# Characters of a text that a message quotes whole, as they are written out.
_LONGEST = 80
# Characters of a longer one that it begins and ends with.
_FIRST, _LAST = 48, 16


def quoted(text: str) -> str:
    """Return a text as a message quotes it: on one line, a long one without its middle.

    >>> quoted("C16-L8")
    "'C16-L8'"
    >>> quoted("9" * 5000)
    "'999999999999999999999999999999999999999999999999...9999999999999999' (5,000 characters)"
    """
    if len(text) <= _LONGEST and len(repr(text)) <= _LONGEST + 2:
        return repr(text)
    first, last = (repr(part)[1:-1] for part in (text[:_FIRST], text[-_LAST:]))
    return f"'{first[:_FIRST]}...{last[-_LAST:]}' ({len(text):,} characters)"


def one_line(message: str) -> str:
    r"""Return a message that a terminal can show as one line, whatever it quotes: a long one without its middle.

    >>> one_line("no file '\x1b[2J\n' there")
    "no file '\\x1b[2J\\n' there"
    """
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in _shortened(message))
    return _shortened(printable)


def _shortened(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[: _LONGEST_MESSAGE - 500]} ... {message[-490:]}"


def did_you_mean(word: str, words: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the end of a message that names the known word which is most like an unknown one, ``cutoff`` of 1 or more.

    >>> did_you_mean("nor_conv_3x2", ["nor_conv_3x3", "none"])
    "; did you mean 'nor_conv_3x3'?"
    >>> did_you_mean("pool", ["none"])
    ''
    """
    # A file may name no text.
    near = difflib.get_close_matches(str(word), list(words), 1, cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""


def read_bounded(fault: str, what: str, text: str, most: int, unit: str) -> int:
    """Read a positive number of digits that do not begin with 0; one above ``most`` raises a TooLargeError.

    >>> read_bounded("architecture 'C16-L8'", "depth", "8", 200, "cells")
    8
    >>> read_bounded("architecture 'C16-L999'", "depth", "999", 200, "cells")
    Traceback (most recent call last):
    naswot_lightning.spaces.errors.TooLargeError: architecture 'C16-L999': a depth of 999, expected at most 200 cells
    """
    # Python refuses to read more than 4,300 digits.
    if len(text) > len(str(most)) or int(text) > most:
        shown = text if len(text) <= 20 else quoted(text)
        raise TooLargeError(f"{fault}: a {what} of {shown}, expected at most {most:,} {unit}")
    return int(text)


def expect_buildable(fault: str, params: int) -> None:
    """Raise :class:`TooLargeError` where a network has more parameters than are built; an estimate will do."""
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
