"""Atomic writes, CSV, files of JSON lines, and the lock of a folder that one process at a time may write."""

from __future__ import annotations

import csv
import errno
import io
import json
import mmap
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
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
# Between attempts to take a lock.
_RETRY_S = 0.1
_encode = json.JSONEncoder(allow_nan=False).encode


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path to write a file or folder to, and rename it at the end: a reader sees the old content or the new.

    Where the block raises, nothing is left behind; an OSError names ``path``, which those of an open file do not.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(_UNFINISHED, f".{path.name}.", path.parent, ignore_cleanup_errors=True) as folder:
            unfinished = Path(folder) / path.name
            yield unfinished
            if unfinished.is_dir() and path.is_dir():
                # A folder cannot be renamed over another.
                shutil.rmtree(path)
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
    """Write rows as a CSV file, as :func:`to_csv` has them."""
    atomic_write(path, to_csv(rows, columns))


def to_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV; what is missing is empty, what is no column is left out."""
    text = io.StringIO()
    csv_writer(text, columns).writerows({name: to_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def csv_writer(file: TextIO, columns: Sequence[str]) -> csv.DictWriter[str]:
    """Write the header, and return a writer of rows whose values are cells already."""
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    return writer


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
    """Remove a folder and its content; one that lies outside ``folder``, by ``..`` or by a link, is a UserError."""
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()) or path.resolve() == folder.resolve():
        raise UserError(f"{path} leads out of {folder}, so nothing is removed; move it away, or remove it yourself")
    shutil.rmtree(path)


# How many processes a launcher has started.
_SIZES = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")


@contextmanager
def lock_folder(folder: Path, patience: float = 0.0, option: str = "--run_dir") -> Iterator[None]:
    """Hold an existing folder for this process; the lock dies with the process, however it ends.

    A folder that another process holds for ``patience`` seconds is a UserError, whose cure is another ``option``. Where
    the file system has no locks, a warning says so.
    """
    path = folder / ".lock"
    # To lock what a link leads to would lock somebody else's file.
    if path.is_symlink():
        raise UserError(f"{path} is a link, but a run keeps a file here: move it away, or remove it")
    end = time.monotonic() + patience
    with open(path, "ab") as file:
        while True:
            try:
                if fcntl is None:
                    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    busy = f"{folder} is in use by another process; wait for it, or choose another {option}"
                    if any(os.environ.get(name, "1") not in ("", "1") for name in _SIZES):
                        busy += (
                            " (torchrun and srun start a command several times: run it once, it starts processes of "
                            "its own by --devices, --workers and --engine)"
                        )
                    raise UserError(busy) from None
                time.sleep(_RETRY_S)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP):
                    raise OSError(error.errno, error.strerror, str(path)) from error
                without = "this file system has no locks; let one command at a time use it"
                print(f"warning: {folder}: {without}", file=sys.stderr)
                break
        yield


class JsonLines:
    """An append-only file of JSON objects, one per line; iterating yields its lines without line ends.

    It stays readable where its process is killed: a last line that was cut off is removed when it is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = FileIO(path, "a+")
        if size := self._file.seek(0, os.SEEK_END):
            with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                whole = content.rfind(b"\n") + 1
            if size > whole:
                self._file.truncate(whole)

    def __iter__(self) -> Iterator[bytes]:
        return whole_lines(self.path)

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one object as one line, in one system call; NaN, infinity and text that is no Unicode are refused."""
        text = _encode(entry)
        # An escaped surrogate is half of a character, or one of two halves.
        if "\\ud" in text:
            try:
                json.dumps(entry, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                cut = error.object[max(0, error.start - 40) : error.end]
                raise UserError(f"{self.path}: ...{cut} is not valid Unicode; give it another name") from None
        line = (text + "\n").encode()
        end = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(line)
            # The disk took a part and is now full: writing the rest raises the error.
            if written != len(line):
                self._file.write(line[written:])
        except OSError as error:
            self._file.truncate(end)
            raise OSError(error.errno, error.strerror, str(self.path)) from error


def whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that another process may be adding to, without their ends; a last part is left out."""
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line.removesuffix(b"\n")


def damaged_line(path: Path, number: int, reason: str) -> UserError:
    """Return the error of a line that cannot be used; the first line has number 1."""
    cure = "remove the line (it is scored again), or use --overwrite to start over"
    return UserError(f"{path}, line {number}: {reason}; {cure}")
