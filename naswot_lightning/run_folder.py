"""The run folder: the files that are the truth of a run, and the settings they belong to."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import yaml

from naswot_lightning.errors import UserError
from naswot_lightning.files import locked, write_whole

Row = dict[str, Any]

# What a run writes, hence what --overwrite removes; anything else in the folder is the user's.
_RUN_FILES = (
    "config.yaml", "scores.jsonl", "ranking.json", "ranking.csv", "comparison.csv", "comparison_seeds.csv",
    "evidence.json", ".run_id",
)  # fmt: skip
_RUN_FOLDERS = ("picks", "figures", "wandb")


class RunFolder:
    """One run's folder.

    Args:
        path: the folder; it need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def scores(self) -> Path:
        """The finished candidates, one JSON object a line."""
        return self.path / "scores.jsonl"

    @property
    def config(self) -> Path:
        """The settings of the run, in the form that ``--config`` reads."""
        return self.path / "config.yaml"

    @contextmanager
    def open(self, config: dict[str, Any], identity: dict[str, Any], overwrite: bool = False) -> Iterator[None]:
        """Create or continue the folder under its lock.

        Args:
            config: all settings, saved.
            identity: those that decide the results; a folder belongs to one set of them.
            overwrite: begin anew where they differ, instead of an error.

        Raises:
            UserError: the folder was made with other settings, or another process is at work in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"--run_dir {self.path}: there is a file of that name; choose another") from None
        with locked(self.path):
            self._continue_or_clear(identity, overwrite)
            write_whole(self.config, yaml.safe_dump(config, sort_keys=False))
            yield

    def run_id(self) -> str:
        """Return a name of this run that stays the same whenever it is continued."""
        file = self.path / ".run_id"
        if not file.exists():
            write_whole(file, uuid.uuid4().hex[:8] + "\n")
        return file.read_text().strip()

    def read_config(self) -> dict[str, Any]:
        """Return the saved settings.

        Raises:
            UserError: there are none, or they are not YAML settings.
        """
        try:
            saved = yaml.safe_load(self.config.read_text())
        except FileNotFoundError:
            raise UserError(
                f"no run in {self.path}: run search.py --run_dir {self.path} first, or pass --architecture"
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError):
            saved = None
        if not isinstance(saved, dict):
            raise UserError(f"{self.config} is damaged; restore it, or use --overwrite to begin anew")
        return saved

    def _continue_or_clear(self, identity: dict[str, Any], overwrite: bool) -> None:
        if not self.config.exists() and not self.scores.exists():
            return
        if overwrite:
            differing = ["unreadable"] if not self._readable() else self._differing(identity)
            if differing:
                self._clear()
        elif differing := self._differing(identity):
            raise UserError(
                f"{self.path} was made with other settings: {'; '.join(differing)}; "
                "choose another --run_dir, or use --overwrite to begin anew"
            )

    def _readable(self) -> bool:
        try:
            self.read_config()
        except UserError:
            return False
        return True

    def _differing(self, identity: dict[str, Any]) -> list[str]:
        saved = self.read_config()
        return [
            f"{name} was {saved.get(name)!r}, now {value!r}"
            for name, value in identity.items()
            if saved.get(name) != value
        ]

    def _clear(self) -> None:
        for name in _RUN_FILES:
            (self.path / name).unlink(missing_ok=True)
        for name in _RUN_FOLDERS:
            shutil.rmtree(self.path / name, ignore_errors=True)


class JsonLines:
    """An append-only file of JSON objects that survives being killed at any moment.

    Args:
        path: the file; a last line that a crash cut off is removed when it is opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[Row] = []
        whole = self._read()
        self._file = FileIO(path, "a")
        if self._file.tell() > whole:
            os.truncate(path, whole)

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def append(self, row: Row) -> None:
        """Write one object as one line, in one system call; NaN and infinity are refused."""
        line = (json.dumps(row, allow_nan=False) + "\n").encode()
        end = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(line)
            if written != len(line):  # the disk took a part and is now full
                self._file.write(line[written:])
        except OSError as error:
            os.truncate(self._path, end)
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self.rows.append(row)

    def _read(self) -> int:
        """Read the whole lines; return their length in bytes."""
        content = self._path.read_bytes() if self._path.exists() else b""
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise UserError(
                    f"{self._path}, line {number}: not a JSON object; remove the line (it is scored again), "
                    "or use --overwrite to begin anew"
                )
            self.rows.append(row)
        return whole
