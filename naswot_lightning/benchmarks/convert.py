"""From an official file, or a CSV, to a table."""

from __future__ import annotations

import hashlib
import math
import re
import sys
from array import array
from pathlib import Path

import numpy as np
from tqdm import tqdm

from naswot_lightning.benchmarks import csv_table, nasbench101, nats, nds
from naswot_lightning.benchmarks.table import Format, Key, Record, Table, identity, listed_as, write_table
from naswot_lightning.errors import UserError

# Asked in this order; the first that recognises a path reads it.
FORMATS = (csv_table.FORMAT, nats.NASBENCH201, nats.NATS, nasbench101.FORMAT, nds.FORMAT)
_ENDINGS = (*csv_table.ENDINGS, ".pickle.pbz2", ".pbz2", ".tfrecord", ".pth", ".pt", ".pickle", ".pkl", ".json")
_MOST_COLUMNS = 10_000
# The last digits of the MD5 of an official file, which its name holds; records of NAS-Bench-101 have checksums.
_MD5_END = re.compile(r"NAS-Bench-201-v1_[01]-([0-9a-f]{6})\.pth")


def convert(path: Path, output: Path | None = None, space: str | None = None) -> tuple[Table, Path]:
    """Write the table of an official file or folder, or of a CSV; return it and where it is.

    It is written beside ``path``, under its name, by default; ``space`` is named where the file does not tell.
    """
    found = find_format(path)
    if named := _MD5_END.fullmatch(path.name):
        digest = hashlib.md5(usedforsecurity=False)
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if not digest.hexdigest().endswith(named[1]):
            reason = f"its MD5 is {digest.hexdigest()}, expected one that ends in {named[1]}"
            cure = "download it again, or rename it if it is your own file"
            raise UserError(f"{path} is not the official file ({reason}): {cure}")
    table = read_any(path, found, space)
    output = output or converted_name(path)
    write_table(table, output)
    return table, output


def converted_name(path: Path) -> Path:
    """Return where the table of a file or folder is written: beside it."""
    if path.name in ("", ".."):
        path = path.resolve()
    ending = next((each for each in _ENDINGS if path.name.lower().endswith(each)), "")
    return path.with_name(path.name[: len(path.name) - len(ending)] + ".npz")


def find_format(path: Path) -> Format:
    """Return the format of a file or folder; a missing file, or one of no known format, is a UserError."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; docs/benchmarks.md says where to get the official files")
    for each in FORMATS:
        if each.recognises(path):
            return each
    titles = "; ".join(each.title for each in FORMATS)
    raise UserError(f"{path}: unknown file format, expected one of: {titles}")


def read_any(path: Path, found: Format, space: str | None) -> Table:
    """Return the table of a file in memory; a bar shows the progress on a terminal.

    A file that has nothing or contradicts itself is a UserError, an architecture of another space a SpaceError.
    """
    reading, source = found.read(path, space), path.resolve().name
    rows = _Rows(reading.space, source)
    for record in tqdm(reading.records, "reading", reading.total, leave=False, disable=None, file=sys.stderr):
        rows.add(record)
    if not rows.architectures or not rows.columns:
        raise UserError(f"{source} has no accuracies or other numbers; download it again")
    numbers = np.array(rows.numbers, dtype=np.int64) if max(rows.numbers) >= 0 else None
    identities = list(rows.row_of_identity)
    return Table(reading.name, reading.space, source, rows.architectures, rows.finished(), numbers, identities)


class _Rows:
    """Rows and columns that grow; arrays of machine numbers, since NAS-Bench-101 has 41 million values."""

    def __init__(self, space: str, source: str) -> None:
        self._space, self._source = space, source
        self._row_of: dict[str, int] = {}
        self.row_of_identity: dict[str | bytes, int] = {}
        self.architectures: list[str] = []
        self.columns: dict[Key, array[float]] = {}
        self.numbers: array[int] = array("q")

    def add(self, record: Record) -> None:
        row = self._row_of.get(record.architecture)
        if row is None:
            same = identity(self._space, record.architecture)
            row = self._row_of[record.architecture] = self.row_of_identity.setdefault(same, len(self.architectures))
            if row == len(self.architectures):
                self.architectures.append(listed_as(self._space, record.architecture))
                self.numbers.append(-1)
        if record.number is not None:
            self.numbers[row] = record.number
        for key, value in record.values.items():
            if math.isnan(value):
                continue
            column = self.columns.get(key)
            if column is None:
                if len(self.columns) == _MOST_COLUMNS:
                    raise UserError(f"{self._source}: more than {_MOST_COLUMNS:,} data sets, splits, epochs and seeds")
                column = self.columns[key] = array("d")
            # A column is as long as its last known row; what lies between is not known.
            column.extend([math.nan] * (row + 1 - len(column)))
            if not math.isnan(column[row]) and column[row] != value:
                what = f"{key.measure} ({key.dataset} {key.split}, {key.epochs} epochs, seed {key.seed})"
                both = f"{column[row]:g} and {value:g}; keep one, or give them different seeds"
                raise UserError(f"{self._source}: {self.architectures[row][:100]} has two values for {what}: {both}")
            column[row] = value

    def finished(self) -> dict[Key, np.ndarray]:
        """Return the columns, each as long as there are rows."""
        for column in self.columns.values():
            column.extend([math.nan] * (len(self.architectures) - len(column)))
        return {key: np.frombuffer(self.columns[key], np.float64) for key in sorted(self.columns)}
