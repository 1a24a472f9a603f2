"""Mistakes with a space or an architecture: one line that names the value and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpaceError(ValueError):
    """A space, an architecture or an operation that does not exist; the message is written for the user."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class TooLargeError(SpaceError):
    """An architecture that is written as the space asks, and whose network is larger than is built."""


_LONGEST_MESSAGE = 1_900  # characters
_LONGEST = 80  # characters of a text that a message quotes whole, as they are written out
_FIRST, _LAST = 48, 16  # characters of a longer one that it begins and ends with


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
    near = difflib.get_close_matches(str(word), list(words), 1, cutoff)  # a file may name no text
    return f"; did you mean {near[0]!r}?" if near else ""
