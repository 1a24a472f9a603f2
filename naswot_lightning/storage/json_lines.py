"""A file that grows by one JSON object per line and stays readable if its process is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from naswot_lightning.errors import UserError

_BLOCK = 1 << 20
_encode = json.JSONEncoder(allow_nan=False).encode


class JsonLines:
    """An append-only file of JSON objects; iterating yields its lines without line ends.

    Args:
        path: the file; a last line that a crash cut off is removed when it is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = FileIO(path, "a+")
        whole, size = self._end_of_lines(), self._file.seek(0, os.SEEK_END)
        if size > whole:
            self._file.truncate(whole)

    def __iter__(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one object as one line, in one system call; NaN and infinity are refused.

        Raises:
            UserError: a text of it is no Unicode, which no reader would take.
            OSError: the disk is full or cannot be written; it names the file.
        """
        text = _encode(entry)
        # An escaped surrogate is half of a character, or one of two halves.
        if "\\ud" in text:
            try:
                json.dumps(entry, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                cut = error.object[max(0, error.start - 40) : error.end]
                raise UserError(f"{self.path}: ...{cut} is no Unicode text; give it another name") from None
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

    def damaged(self, number: int, reason: str) -> UserError:
        """Return the error of a line that cannot be used; the first line has number 1."""
        return damaged_line(self.path, number, reason)

    def _end_of_lines(self) -> int:
        """Return where the last whole line ends, from the end of the file backwards."""
        with open(self.path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            while end:
                start = file.seek(max(0, end - _BLOCK))
                newline = file.read(end - start).rfind(b"\n")
                if newline >= 0:
                    return start + newline + 1
                end = start
        return 0


def whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that another process may be adding to, without their ends; a last part is left out.

    Raises:
        FileNotFoundError: there is none.
    """
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line.removesuffix(b"\n")


def damaged_line(path: Path, number: int, reason: str) -> UserError:
    """Return the error of a line that cannot be used; the first line has number 1."""
    return UserError(
        f"{path}, line {number}: {reason}; remove the line (it is scored again), or use --overwrite to begin anew"
    )
