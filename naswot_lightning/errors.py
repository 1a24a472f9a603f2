"""Mistakes that the user can mend: one line that says the value, what was expected and the cure."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from spaces.errors import did_you_mean, one_line


class UserError(ValueError):
    """Bad input; the command prints the message alone and exits with 2."""

    def __str__(self) -> str:
        return one_line(super().__str__())


def expect_name(what: str, value: str, names: Iterable[str]) -> str:
    """Return ``value``, or raise :class:`UserError` with the names and the nearest one.

    >>> expect_name("recipe", "nds-10", ["nds-100", "nasbench201-200"])
    Traceback (most recent call last):
    naswot_lightning.errors.UserError: unknown recipe 'nds-10', expected one of nds-100, ...; did you mean 'nds-100'?
    """
    known = list(names)
    if value in known:
        return value
    raise UserError(f"unknown {what} {value!r}, expected one of {', '.join(known)}{did_you_mean(value, known)}")


def reason_of(error: BaseException) -> str:
    """Return what an error says, in one line; its type where it says nothing.

    >>> reason_of(KeyError("net")), reason_of(ValueError())
    ("'net' is missing", 'ValueError')
    """
    message = _first_line(error)
    return f"{message} is missing" if isinstance(error, KeyError) else message or type(error).__name__


def describe_error(error: BaseException) -> str:
    r"""Return the type of an error and what it says, in one line.

    >>> describe_error(KeyError("net")), describe_error(ValueError("one\ntwo"))
    ("KeyError: 'net'", 'ValueError: one')
    """
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    """Return the first line of a message, whoever wrote it: it may hold anything, or fail itself.

    Of pydantic's, whose first line says nothing, it is all up to the advice for programmers.
    """
    try:
        message = str(error)
    except Exception as fault:  # noqa: BLE001 - any, of a class of the user's
        return f"(its message cannot be shown: {type(fault).__name__})"
    text, advice, _ = message.partition(" [type=")
    return one_line(" ".join(text.split()) if advice else next(iter(message.splitlines()), ""))


@contextmanager
def warn_of_failure(what: str) -> Iterator[None]:
    """Turn an error inside the block into one line of warning: a view must not end a command whose work is done.

    Args:
        what: cannot be done, such as "figure6.png cannot be drawn".
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - libraries that draw and send have errors of many kinds
        print(f"warning: {what}: {reason_of(error)}", file=sys.stderr)


def describe_os_error(error: OSError) -> str:
    """Return one line for a disk that is full, read-only or closed to us."""
    cures = {
        errno.ENOSPC: "free some space and run the command again",
        errno.EDQUOT: "free some of your quota and run the command again",
        errno.EFBIG: "raise the limit on file sizes and run the command again",
        errno.EROFS: "choose a folder that can be written",
        errno.EACCES: "choose a folder that can be written",
        errno.EPERM: "choose a folder that can be written",
    }
    cure = cures.get(error.errno or 0, "check the path and run the command again")
    file = f"{error.filename}: " if error.filename else ""
    return f"{file}{os.strerror(error.errno) if error.errno else error}; {cure}"
