"""User errors, reported in one line with the value, the expectation and a fix."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from naswot_lightning.spaces.errors import did_you_mean, one_line


class UserError(ValueError):
    """Invalid input: the command prints only the message and exits with 2."""

    def __str__(self) -> str:
        return one_line(super().__str__())


Fault = Literal["architecture", "resource", "device"]

_MEMORY = re.compile(r"OutOfMemoryError|out of memory|can't allocate memory|_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)")
_DEVICE = re.compile(
    r"AcceleratorError|(CUDA|HIP)( driver)? error|CU[A-Z]+_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR)"
)
# Of a call that CUDA refuses; the device goes on.
_REFUSED = re.compile(r"invalid (configuration )?argument|too many resources requested")


class MachineError(UserError):
    """A fault of the machine that says nothing of the network that met it: too little memory, or a broken device."""

    def __init__(self, message: str, kind: Fault = "resource", is_final: bool = False) -> None:
        super().__init__(message)
        self.kind, self.is_final = kind, is_final


def fault_kind(error: BaseException) -> Fault:
    """Return what is to blame for an error: the architecture, too little memory, or the device, which answers no more.

    >>> fault_kind(RuntimeError("CUDA error: device-side assert triggered")), fault_kind(MemoryError())
    ('device', 'resource')
    >>> fault_kind(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")), fault_kind(RuntimeError("shapes differ"))
    ('resource', 'architecture')
    """
    if isinstance(error, MachineError):
        return error.kind
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return "resource"
    # Those of torch are RuntimeErrors, too, but for old versions without classes of their own.
    message = describe_error(error) if isinstance(error, RuntimeError) else ""
    if _MEMORY.search(message):
        return "resource"
    return "device" if _DEVICE.search(message) and not _REFUSED.search(message) else "architecture"


def raise_machine_fault(error: BaseException) -> None:
    """Raise a fault of the machine as :class:`MachineError`; return where the error is of the architecture."""
    kind = fault_kind(error)
    if kind != "architecture":
        raise error if isinstance(error, MachineError) else MachineError(describe_error(error), kind) from error


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
    """Return the message of an error in one line, or its type if it has no message.

    >>> reason_of(KeyError("net")), reason_of(ValueError())
    ("'net' is missing", 'ValueError')
    """
    message = _first_line(error)
    return f"{message} is missing" if isinstance(error, KeyError) else message or type(error).__name__


def describe_error(error: BaseException) -> str:
    r"""Return the type and the message of an error in one line.

    >>> describe_error(KeyError("net")), describe_error(ValueError("one\ntwo"))
    ("KeyError: 'net'", 'ValueError: one')
    """
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    """Return the first line of a message; of pydantic's, all up to its advice for programmers."""
    try:
        message = str(error)
    # The error may be of a user's class, whose __str__ fails.
    except Exception as fault:  # noqa: BLE001
        return f"(its message cannot be shown: {type(fault).__name__})"
    text, advice, _ = message.partition(" [type=")
    return one_line(" ".join(text.split()) if advice else next(iter(message.splitlines()), ""))


@contextmanager
def warn_of_failure(what: str, raised: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn an error inside the block into a warning: a failed view must not end a command whose work is done.

    ``what`` is the failure in words, such as "figure6.png cannot be drawn"; ``raised`` are raised all the same.
    """
    try:
        yield
    except raised:
        raise
    # Plotting libraries and wandb raise errors of many kinds.
    except Exception as error:  # noqa: BLE001
        reason = describe_os_error(error) if isinstance(error, OSError) else reason_of(error)
        print(f"warning: {what}: {reason}", file=sys.stderr)


def describe_os_error(error: OSError) -> str:
    """Return one line with a fix for a disk that is full, read-only or not writable."""
    unwritable = dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "choose a folder that can be written")
    cures = {
        errno.ENOSPC: "free some space and run the command again",
        errno.EDQUOT: "free some of your quota and run the command again",
        errno.EFBIG: "raise the limit on file sizes and run the command again",
        **unwritable,
    }
    cure = cures.get(error.errno or 0, "check the path and run the command again")
    file = f"{error.filename}: " if error.filename else ""
    return f"{file}{os.strerror(error.errno) if error.errno else error}; {cure}"
