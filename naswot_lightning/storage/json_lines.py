"""A file that grows by one JSON object a line and survives being killed at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from naswot_lightning.errors import UserError


class JsonLines:
    """An append-only file of JSON objects.

    Args:
        path: the file; a last line that a crash cut off is removed when it is opened.

    Attributes:
        objects: those that were in the file when it was opened.

    Raises:
        UserError: a line is no JSON object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.objects: list[dict[str, Any]] = []
        whole = self._read()
        self._file = FileIO(path, "a")
        if self._file.tell() > whole:
            os.truncate(path, whole)

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one object as one line, in one system call; NaN and infinity are refused."""
        line = (json.dumps(entry, allow_nan=False) + "\n").encode()
        end = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(line)
            if written != len(line):  # the disk took a part and is now full
                self._file.write(line[written:])
        except OSError as error:
            os.truncate(self.path, end)
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def damaged(self, number: int, reason: str = "not a JSON object") -> UserError:
        """Return the error of a line that cannot be used; the first line has number 1."""
        return UserError(
            f"{self.path}, line {number}: {reason}; remove the line (it is scored again), "
            "or use --overwrite to begin anew"
        )

    def _read(self) -> int:
        """Read the whole lines; return their length in bytes."""
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                raise self.damaged(number)
            self.objects.append(entry)
        return whole
