"""Atomic writes, CSV, and the lock of a folder that one process at a time may write."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from naswot_lightning.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_UNFINISHED = ".part"
# A cell that begins with one of these is computed as a formula by spreadsheets.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_RETRY_S = 0.1  # between attempts to take a lock


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path to write to, and rename it to ``path`` at the end: a reader sees the old content or the new.

    What was written may be a file or a folder. Where the block raises, nothing is left behind.

    Raises:
        OSError: the disk is full or cannot be written; it names ``path``, which errors of an open file do not.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(_UNFINISHED, f".{path.name}.", path.parent, ignore_cleanup_errors=True) as folder:
            unfinished = Path(folder) / path.name
            yield unfinished
            if unfinished.is_dir() and path.is_dir():
                shutil.rmtree(path)  # a folder cannot be renamed over another
            os.replace(unfinished, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_unfinished(path: Path) -> None:
    """Remove what killed processes left behind in :func:`atomic_path`; call it only where no other process writes."""
    for unfinished in path.parent.glob(f".{path.name}.*{_UNFINISHED}"):
        shutil.rmtree(unfinished, ignore_errors=True)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_open(path: Path) -> Iterator[TextIO]:
    """Give a text file to write to that takes the place of ``path`` at the end (:func:`atomic_path`)."""
    with atomic_path(path) as unfinished, open(unfinished, "w", encoding="utf-8", newline="") as file:
        yield file


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; NaN and infinity are refused."""
    atomic_write(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as a CSV file; what is missing is empty."""
    with atomic_open(path) as file:
        csv_writer(file, columns).writerows(map(_cells, rows))


def to_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    r"""Return rows as CSV; what is missing is empty, what is no column is left out.

    >>> to_csv([{"rank": 1, "score": None}, {"rank": 2, "score": 1.5, "seed": 0}], ["rank", "score"])
    'rank,score\n1,\n2,1.5\n'
    """
    text = io.StringIO()
    csv_writer(text, columns).writerows(map(_cells, rows))
    return text.getvalue()


def csv_writer(file: TextIO, columns: Sequence[str]) -> csv.DictWriter[str]:
    """Write the header, and return a writer of rows as :func:`to_csv` writes them."""
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    return writer


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_cell(value) for name, value in row.items()}


def to_cell(value: Any) -> Any:
    """Return a value for a CSV cell: an apostrophe is put before a text that a spreadsheet would compute.

    >>> to_cell("=1+1"), to_cell("|none~0|"), to_cell("-1.5"), to_cell(-1.5)
    ("'=1+1", '|none~0|', '-1.5', -1.5)
    """
    if not isinstance(value, str) or not value.startswith(_FORMULAS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def from_cell(text: str) -> str:
    """Return the text of a cell made by :func:`to_cell`."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULAS) else text


def remove_within(folder: Path, path: Path) -> None:
    """Remove a folder and its content; it must lie inside ``folder``, and links are not followed.

    Raises:
        UserError: it lies elsewhere, by ``..`` or by a link.
    """
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()) or path.resolve() == folder.resolve():
        raise UserError(f"{path} leads out of {folder}: nothing is removed; move it away, or remove it yourself")
    shutil.rmtree(path)


@contextmanager
def lock_folder(folder: Path, patience: float = 0.0, option: str = "--run_dir") -> Iterator[None]:
    """Hold ``folder`` for this process; the lock dies with the process, however it ends.

    Where the file system has no locks, a warning says so.

    Args:
        folder: an existing folder.
        patience: seconds to wait for another process to release it.
        option: the option that names another folder, for the message.

    Raises:
        UserError: another process holds it, or a link stands in the place of its lock.
        OSError: it cannot be locked; it names the file.
    """
    path = folder / ".lock"
    if path.is_symlink():  # to lock what it leads to would lock somebody else's file
        raise UserError(f"{path} is a link where a run keeps a file: move it away, or remove it")
    end = time.monotonic() + patience
    with open(path, "ab") as file:
        while not _lock(path, file.fileno()):
            if time.monotonic() >= end:
                raise UserError(f"{folder} is in use by another process; wait for it, or choose another {option}")
            time.sleep(_RETRY_S)
        yield


def _lock(path: Path, descriptor: int) -> bool:
    """Return False where another process holds the lock."""
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP):
            raise OSError(error.errno, error.strerror, str(path)) from error
        print(
            f"warning: {path.parent}: this file system has no locks; let one command at a time use it", file=sys.stderr
        )
    return True
