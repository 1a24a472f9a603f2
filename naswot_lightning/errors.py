"""Mistakes that the user can mend: one line that says the value, what was expected and the cure."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

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
