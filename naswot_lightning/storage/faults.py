"""What libraries raise for the content of a file that is not theirs: one list for all readers."""

from __future__ import annotations

import errno
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError

from naswot_lightning.errors import UserError, reason_of

# RuntimeError is zipfile's for an encrypted member, and what it cannot unpack (NotImplementedError) and nesting
# without end (RecursionError) are one; TokenError is numpy's for the header of an array.
FAULTS = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, AssertionError, RuntimeError,
    EOFError, MemoryError, struct.error, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    TokenError,
)  # fmt: skip


@contextmanager
def reading(path: Path, content: str, cure: str = "get it anew") -> Iterator[None]:
    """Turn what is raised for the content of a file into one line that names it.

    Args:
        path: of the file.
        content: what it should hold.
        cure: what the user can do where it does not.

    Raises:
        UserError: the content is damaged, or something else.
        OSError: the file cannot be read.
    """
    try:
        yield
    except UserError:
        raise
    except FAULTS as error:
        raise damaged(path, content, error, cure) from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # of the disk; bz2 and zipfile raise it of the content, too
            raise
        raise damaged(path, content, error, cure) from None


def damaged(path: Path, content: str, error: Exception, cure: str = "get it anew") -> UserError:
    """Return the error of a file that is not written as its format is; one for the user stays as it is."""
    if isinstance(error, UserError):
        return error
    return UserError(f"{path} is damaged, or no {content} ({reason_of(error)}); {cure}")
