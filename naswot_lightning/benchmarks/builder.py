"""From records to a table in memory."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from naswot_lightning.benchmarks.columns import MemoryColumns
from naswot_lightning.benchmarks.index import identity, make_index
from naswot_lightning.benchmarks.records import Key, Reading, Record
from naswot_lightning.benchmarks.table import Table
from naswot_lightning.errors import UserError

_MOST_COLUMNS = 10_000
_SHOWN = 100  # characters of an architecture in a message


def build_table(reading: Reading, source: str) -> Table:
    """Return the table of all records.

    Args:
        reading: whose records are read now.
        source: the name of the file that they are from.

    Raises:
        UserError: the file has nothing, contradicts itself, or as its reader.
        SpaceError: an architecture is not of the space.
    """
    rows = _Rows(reading.space, source)
    for record in reading.records:
        rows.add(record)
    if not rows.architectures or not rows.columns:
        raise UserError(f"{source} has no figures of architectures; get it anew")
    index = make_index(reading.space, rows.architectures)
    columns = MemoryColumns(rows.finished())
    return Table(reading.name, reading.space, source, index, columns, rows.finished_numbers())


class _Rows:
    """Rows and columns that grow."""

    def __init__(self, space: str, source: str) -> None:
        self._space, self._source = space, source
        self._row_of: dict[str, int] = {}
        self._row_of_identity: dict[str | bytes, int] = {}
        self.architectures: list[str] = []
        self.columns: dict[Key, array[float]] = {}
        self._numbers: array[int] = array("q")

    def add(self, record: Record) -> None:
        row = self._row(record.architecture)
        if record.number is not None:
            self._numbers[row] = record.number
        for key, figure in record.figures.items():
            if not math.isnan(figure):
                self._set(row, key, figure)

    def _row(self, architecture: str) -> int:
        row = self._row_of.get(architecture)
        if row is None:
            row = self._row_of_identity.setdefault(identity(self._space, architecture), len(self.architectures))
            self._row_of[architecture] = row
        if row == len(self.architectures):
            self.architectures.append(architecture)
            self._numbers.append(-1)
        return row

    def _set(self, row: int, key: Key, figure: float) -> None:
        column = self.columns.get(key)
        if column is None:
            column = self._new_column(key)
        if len(column) <= row:
            column.extend([math.nan] * (row - len(column)))
            column.append(figure)
        elif math.isnan(column[row]):
            column[row] = figure
        elif column[row] != figure:
            raise UserError(self._contradiction(row, key, column[row], figure))

    def _new_column(self, key: Key) -> array[float]:
        if len(self.columns) == _MOST_COLUMNS:
            raise UserError(f"{self._source}: more than {_MOST_COLUMNS:,} data sets, splits, epochs and seeds")
        column = self.columns[key] = array("d")
        return column

    def _contradiction(self, row: int, key: Key, before: float, figure: float) -> str:
        architecture = self.architectures[row][:_SHOWN]
        return (
            f"{self._source}: {architecture} has two figures of {key.measure} ({key.dataset} {key.split}, "
            f"{key.epochs} epochs, seed {key.seed}): {before:g} and {figure:g}; keep one, or give them seeds"
        )

    def finished(self) -> dict[Key, np.ndarray]:
        """Return the columns, each as long as there are rows; those that grow are gone."""
        return dict(self._finished(len(self.architectures)))

    def _finished(self, rows: int) -> Iterator[tuple[Key, np.ndarray]]:
        for key in sorted(self.columns):
            column = self.columns.pop(key)
            column.extend(_unknown(rows - len(column)))
            yield key, np.frombuffer(column, np.float64)

    def finished_numbers(self) -> np.ndarray | None:
        """Return the indices in the benchmark's order; None where there are none."""
        numbers = np.array(self._numbers, dtype=np.int64)
        return numbers if (numbers >= 0).any() else None


def _unknown(count: int) -> Iterable[float]:
    return [math.nan] * count
