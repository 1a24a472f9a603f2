"""The file of a table: arrays without a pickle in an ``.npz``, and a JSON header that says what each is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from naswot_lightning.benchmarks.columns import ENDS, Coding, Encoded, decode, encode
from naswot_lightning.benchmarks.index import index_of, is_by_hash
from naswot_lightning.benchmarks.records import Key, Measure
from naswot_lightning.benchmarks.table import Table
from naswot_lightning.errors import UserError
from naswot_lightning.storage.arrays import read_array, write_array
from naswot_lightning.storage.faults import reading
from naswot_lightning.storage.files import atomic_path
from naswot_lightning.storage.records import STRICT, Count, from_json

_Kind = Literal["naswot-lightning benchmark"]
_KIND: _Kind = "naswot-lightning benchmark"
_HEADER = "header"
_NUMBERS = "numbers"
_WANTED = ("table of a benchmark", "convert the official file again")  # as messages say
_MOST_ROWS = 10_000_000


@dataclass(frozen=True)
class _Column:
    """Which figure an array holds; the fields of :class:`Key`."""

    measure: Measure
    dataset: str
    split: str
    epochs: Count
    seed: Count
    epoch: Count
    array: str
    coding: Coding
    images: Count

    @property
    def key(self) -> Key:
        return Key(self.measure, self.dataset, self.split, self.epochs, self.seed, self.epoch)


@dataclass(frozen=True)
class _Header:
    kind: _Kind
    version: Literal[1]
    name: str
    space: str
    source: str
    rows: Count
    columns: tuple[_Column, ...]

    __pydantic_config__ = STRICT


def write_table(table: Table, path: Path) -> None:
    """Write a table beside ``path``, and rename it.

    Raises:
        OSError: the disk is full or cannot be written; nothing is left behind.
    """
    with atomic_path(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        arrays = dict(table.index.arrays())
        if table.numbers is not None:
            arrays[_NUMBERS] = table.numbers.astype(np.int32)
        columns = list(_write_columns(table, archive))
        header = _Header(_KIND, 1, table.name, table.space, table.source, len(table.architectures), tuple(columns))
        text = json.dumps(dataclasses.asdict(header), separators=(",", ":"))
        arrays[_HEADER] = np.frombuffer(text.encode(), np.uint8)
        for name, array in arrays.items():
            write_array(archive, name, array)


def _write_columns(table: Table, archive: zipfile.ZipFile) -> Iterator[_Column]:
    """Write every column, equal ones once: pseudo-times are those of all seeds."""
    written: dict[bytes, tuple[str, Coding, int]] = {}
    for key in table.columns.keys:
        column = table.columns.load(key)
        digest = hashlib.sha256(column.tobytes() + key.measure.encode()).digest()
        if digest not in written:
            encoded = encode(key, column)
            name = f"column{len(written)}"
            for end, array in encoded.arrays.items():
                write_array(archive, name + end, array)
            written[digest] = (name, encoded.coding, encoded.images)
        yield _Column(*key, *written[digest])


def read_table(path: Path) -> Table:
    """Open a table; its columns are read when they are asked for.

    Raises:
        UserError: the file is missing, damaged, or no table.
    """
    file = _File(path)
    text = file.array(_HEADER).tobytes()
    with reading(path, *_WANTED):
        header = from_json(_Header, text)
        if header.rows > _MOST_ROWS:
            raise ValueError(f"{header.rows:,} rows, more than {_MOST_ROWS:,}")
        names = ("hashes", "cells") if is_by_hash(header.space) else ("architectures",)
        index = index_of(header.space, {name: file.array(name) for name in names}, header.rows)
    columns = _FileColumns(file, header)
    return Table(header.name, header.space, header.source, index, columns, file.numbers(header.rows))


class _File:
    """The arrays of a file; it is opened anew for each, so that a table can be kept, copied and sent to a worker."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def array(self, name: str) -> np.ndarray:
        """Return an array.

        Raises:
            UserError: it is missing or damaged.
        """
        try:
            with reading(self._path, *_WANTED), zipfile.ZipFile(self._path) as archive:
                return read_array(archive, name)
        except FileNotFoundError:
            raise UserError(f"{self._path}: no such file") from None

    def numbers(self, rows: int) -> np.ndarray | None:
        """Return the indices in the benchmark's order, where the file has them."""
        with reading(self._path, *_WANTED):
            with zipfile.ZipFile(self._path) as archive:
                if f"{_NUMBERS}.npy" not in archive.namelist():
                    return None
            numbers = self.array(_NUMBERS)
            if numbers.shape != (rows,) or numbers.dtype != np.int32:
                raise ValueError("other indices than architectures")
        return numbers

    def column(self, column: _Column, rows: int) -> np.ndarray:
        """Return a column, (rows,) float64."""
        arrays = {end: self.array(column.array + end) for end in ENDS[column.coding]}
        with reading(self._path, *_WANTED):
            if arrays[""].shape != (rows,):
                raise ValueError(f"{column.array} has other rows than there are architectures")
            return decode(Encoded(column.coding, arrays, column.images))


class _FileColumns:
    def __init__(self, file: _File, header: _Header) -> None:
        self._file, self._rows = file, header.rows
        self._of_key = {column.key: column for column in header.columns}
        self.keys = tuple(self._of_key)

    def load(self, key: Key) -> np.ndarray:
        return self._file.column(self._of_key[key], self._rows)
