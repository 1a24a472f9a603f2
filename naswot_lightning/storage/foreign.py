"""Files that others wrote: what libraries raise for their content, and pickles of plain data alone."""

from __future__ import annotations

import csv
import errno
import lzma
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from naswot_lightning.errors import UserError, reason_of

# What readers raise for damaged content. zipfile raises RuntimeError for an encrypted member and its subclass
# NotImplementedError for an unknown compression; RecursionError, also one, comes of deep nesting. numpy raises
# TokenError for the header of an array.
FAULTS = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, AssertionError, RuntimeError,
    EOFError, MemoryError, struct.error, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    TokenError, csv.Error,
)  # fmt: skip


@contextmanager
def reading(path: Path, content: str, cure: str = "download it again") -> Iterator[None]:
    """Turn what is raised for a file that does not hold the content it should into a UserError with its name."""
    try:
        yield
    except UserError:
        raise
    except FAULTS as error:
        raise damaged(path, content, error, cure) from None
    except OSError as error:
        # Of the disk; bz2 and zipfile raise it of the content, too.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise damaged(path, content, error, cure) from None


def damaged(path: Path, content: str, error: Exception, cure: str = "download it again") -> UserError:
    """Return the error of a file that is not written as its format is; one for the user stays as it is."""
    if isinstance(error, UserError):
        return error
    return UserError(f"{path} is not a valid {content} ({reason_of(error)}); {cure}")


# Truth values, numbers and texts: no objects, whose bytes would be taken for addresses, and no fields.
_DTYPE = re.compile(r"b1|[iufc](1|2|4|8|16)|[SU][1-9]\d{0,5}")


def load_plain(file: BinaryIO, path: Path, content: str = "array", mapping: Callable[..., Any] = dict) -> Any:
    """Return what the next pickle of a file holds, with ``mapping`` for an ``OrderedDict``; no code of it is called.

    How much memory it takes, and how deep it is nested, is bounded only where it was looked at before. A pickle that
    asks for code, or is damaged, is a UserError.
    """
    with reading(path, content):
        return _PlainUnpickler(file, path, content, mapping).load()


class _PlainUnpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, path: Path, content: str, mapping: Callable[..., Any]) -> None:
        self._path, self._content = path, content
        self._needed: dict[tuple[str, str], Any] = {
            # Of a class itself attributes could be set.
            ("collections", "OrderedDict"): lambda *items: mapping(*items),
            ("builtins", "set"): set,
            # How protocol 2 writes bytes.
            ("_codecs", "encode"): _encoded,
            # Arrays are made by name of ndarray, empty ones first.
            ("numpy", "ndarray"): None,
            ("numpy", "dtype"): _Dtype,
            ("numpy.core.multiarray", "scalar"): _scalar,
            ("numpy.core.multiarray", "_reconstruct"): lambda *_: np.zeros(0).view(_PlainArray),
        }
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """Return what plain data need."""
        module = module.replace("numpy._core.", "numpy.core.").replace("__builtin__", "builtins")  # of other versions
        if (module, name) in self._needed:
            return self._needed[module, name]
        asks = f"it asks for {module}.{name}, which no {self._content} needs"
        raise UserError(f"{self._path} is refused: {asks}; download it again")


class _Dtype:
    """A dtype as a pickle describes it; numpy would believe whatever the description says."""

    def __init__(self, name: str, *_: object) -> None:
        if not _DTYPE.fullmatch(name):
            raise ValueError(f"an array of {name[:40]!r}")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        """Take the order of bytes, which is all that the name leaves open."""
        self.dtype = self.dtype.newbyteorder(state[1])


class _PlainArray(np.ndarray):
    def __setstate__(self, state: Any) -> None:
        """Take shape and content, whose size numpy compares."""
        version, shape, described, by_columns, content = state
        super().__setstate__((version, shape, _dtype_of(described), by_columns, content))


def _scalar(described: object, content: str | bytes) -> Any:
    raw = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(raw, _dtype_of(described), count=1)[0]


def _dtype_of(described: object) -> np.dtype[Any]:
    if not isinstance(described, _Dtype):
        raise ValueError("an array of no known kind")
    return described.dtype


def _encoded(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise UserError(f"bytes in {encoding[:20]!r} in a pickle, expected latin1; download it again")
    return text.encode("latin1")
