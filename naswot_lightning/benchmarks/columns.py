"""The columns of a table: one figure of every architecture each, in the smallest arrays that lose nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from naswot_lightning.benchmarks.records import Key

_MOST_CODES = 1 << 16


class Columns(Protocol):
    """The figures of a table."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """Which figures there are."""
        ...

    def load(self, key: Key) -> np.ndarray:
        """Return a figure of every architecture, (n,) float64; NaN where it is not known."""
        ...


class MemoryColumns:
    """Columns that are in memory.

    Args:
        columns: (n,) float64 each.
    """

    def __init__(self, columns: Mapping[Key, np.ndarray]) -> None:
        self._columns = dict(columns)
        self.keys = tuple(self._columns)

    def load(self, key: Key) -> np.ndarray:
        """Return a figure of every architecture."""
        return self._columns[key]


def encode(key: Key, column: np.ndarray) -> dict[str, np.ndarray]:
    """Return the arrays of a column by the ends of their names.

    Accuracies are shares of a number of images: 16-bit codes of the different ones are smaller than the numbers. A
    loss is kept to 7 digits, every other figure exactly.
    """
    if key.measure == "loss":
        return {"": column.astype(np.float32)}
    values, codes = np.unique(column, return_inverse=True)
    if len(values) <= _MOST_CODES and values.nbytes + 2 * len(codes) < _exact(column).nbytes:
        return {"": codes.astype(np.uint16), ".values": values}
    return {"": _exact(column)}


def _exact(column: np.ndarray) -> np.ndarray:
    """Return the column in 32 bits where they hold every number."""
    with np.errstate(over="ignore"):
        small = column.astype(np.float32)
    return small if np.array_equal(small, column, equal_nan=True) else column


def decode(array: np.ndarray, values: np.ndarray | None) -> np.ndarray:
    """Return the column that :func:`encode` made arrays of, (n,) float64.

    Raises:
        ValueError: the arrays are not of a column.
    """
    if array.dtype == np.uint16:
        if values is None or not len(values) or array.max(initial=0) >= len(values):
            raise ValueError("codes without their values")
        return values[array]
    if array.dtype.kind != "f":
        raise ValueError(f"a column of {array.dtype}")
    return array.astype(np.float64)
