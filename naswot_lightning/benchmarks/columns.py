"""The columns of a table: one figure of every architecture each, in the smallest arrays that lose nothing."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from naswot_lightning.benchmarks.records import Key

Coding = Literal["plain", "values", "shares"]
VALUES, REST = ".values", ".rest"
ENDS: dict[Coding, tuple[str, ...]] = {"plain": ("",), "values": ("", VALUES), "shares": ("", REST)}

_MOST_CODES = 1 << 16
# Of the sets that NAS-Bench-201 and NATS-Bench test on. Each divides one that follows, or is of another set.
_IMAGES = (3_000, 5_000, 6_000, 10_000, 25_000, 50_000, 151_700)
_NEAR = 2e-7  # percent: how far rounding takes a mean over mini-batches from the share; 2**-53 of it is an int32
_UNIT = 2.0**-53


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


@dataclass(frozen=True)
class Encoded:
    """A column as arrays.

    Attributes:
        coding: plain: the numbers; values: codes of the different ones; shares: counts of images, and what the sum of
            rounded means over mini-batches adds to 100 count / images, in units of 2**-53.
        arrays: by the ends of their names, the first without one.
        images: of which the counts are, for shares.
    """

    coding: Coding
    arrays: Mapping[str, np.ndarray]
    images: int = 0


def encode(key: Key, column: np.ndarray) -> Encoded:
    """Return the smallest arrays of a column: a loss is kept to 7 digits, every other figure exactly."""
    if key.measure == "loss":
        return Encoded("plain", {"": column.astype(np.float32)})
    return min((Encoded("plain", {"": _exact(column)}), *_by_values(column), *_by_shares(column)), key=_deflated_size)


def decode(encoded: Encoded) -> np.ndarray:
    """Return the column that :func:`encode` made arrays of, (n,) float64.

    Raises:
        ValueError, KeyError: the arrays are not of a column.
    """
    array = encoded.arrays[""]
    if encoded.coding == "shares":
        return _from_shares(array, encoded.arrays[REST], encoded.images)
    if encoded.coding == "values":
        values = encoded.arrays[VALUES]
        if array.dtype.kind != "u" or values.dtype.kind != "f" or array.max(initial=0) >= len(values):
            raise ValueError("codes of values that are not there")
        return values.astype(np.float64)[array]
    if array.dtype.kind != "f":
        raise ValueError(f"a column of {array.dtype}")
    return array.astype(np.float64)


def _deflated_size(encoded: Encoded) -> int:
    return sum(len(zlib.compress(array.tobytes(), 1)) for array in encoded.arrays.values())


def _exact(column: np.ndarray) -> np.ndarray:
    """Return the column in 32 bits where they hold every number."""
    with np.errstate(over="ignore"):
        small = column.astype(np.float32)
    return small if np.array_equal(small, column, equal_nan=True) else column


def _by_values(column: np.ndarray) -> Iterator[Encoded]:
    values, codes = np.unique(column, return_inverse=True)
    if len(values) <= _MOST_CODES:
        yield Encoded("values", {"": codes.astype(np.uint16), VALUES: values})


def _by_shares(column: np.ndarray) -> Iterator[Encoded]:
    known = ~np.isnan(column)
    images = next((each for each in _IMAGES if _are_shares(column[known], each)), 0)
    if not images:
        return
    kind = np.dtype(np.uint16 if images < _MOST_CODES - 1 else np.uint32)
    counts = np.full(len(column), _no_count(kind), kind)
    counts[known] = np.rint(column[known] * (images / 100))
    rest = np.zeros(len(column), np.int32)
    rest[known] = (column[known] - counts[known] * 100.0 / images) / _UNIT
    if np.array_equal(_from_shares(counts, rest, images), column, equal_nan=True):
        yield Encoded("shares", {"": counts, REST: rest}, images)


def _are_shares(column: np.ndarray, images: int) -> bool:
    counts = np.rint(column * (images / 100))
    return bool(len(column)) and bool(
        ((counts >= 0) & (counts <= images) & (np.abs(column - counts * 100.0 / images) < _NEAR)).all()
    )


def _from_shares(counts: np.ndarray, rest: np.ndarray, images: int) -> np.ndarray:
    if counts.dtype.kind != "u" or rest.dtype != np.int32 or rest.shape != counts.shape or images < 1:
        raise ValueError("counts that are no shares of images")
    column = counts * 100.0 / images + rest * _UNIT
    column[counts == _no_count(counts.dtype)] = np.nan
    return column


def _no_count(kind: np.dtype) -> int:
    """Return what stands for a figure that is not known: the largest number."""
    return int(256**kind.itemsize) - 1
