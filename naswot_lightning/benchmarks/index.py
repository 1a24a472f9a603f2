"""From an architecture to its row of a table: by its string, or by the hash that equal cells share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from naswot_lightning.benchmarks.cells import HASH_BYTES, PackedCells, cell_hash, pack_cell
from spaces.errors import SpaceError


class Index(Protocol):
    """The architectures of a table."""

    @property
    def architectures(self) -> Sequence[str]:
        """One string each, in the order of the rows."""
        ...

    def row(self, architecture: str) -> int | None:
        """Return the row of an architecture; None where there is none."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what a file holds of it."""
        ...


def is_by_hash(space: str) -> bool:
    """Return whether rows of this space are found by the hash of their cell."""
    return space.partition(":")[0].startswith("nasbench101")


def identity(space: str, architecture: str) -> str | bytes:
    """Return what two strings of one row have in common.

    Raises:
        SpaceError: the string is malformed.
    """
    return cell_hash(architecture) if is_by_hash(space) else architecture.strip()


def make_index(space: str, architectures: Sequence[str]) -> Index:
    """Return the index of different architectures; each is found at its place."""
    if not is_by_hash(space):
        return StringIndex(tuple(each.strip() for each in architectures))
    hashes = b"".join(cell_hash(each) for each in architectures)
    cells = np.array([pack_cell(each) for each in architectures], dtype=np.uint64)
    return CellIndex(np.frombuffer(hashes, np.uint8).reshape(-1, HASH_BYTES), cells)


def index_of(space: str, arrays: Mapping[str, np.ndarray], rows: int) -> Index:
    """Return the index that :meth:`Index.arrays` describes.

    Raises:
        ValueError: the arrays are not those of so many architectures.
        KeyError: one is missing.
    """
    if is_by_hash(space):
        index: Index = CellIndex(arrays["hashes"], arrays["cells"])
    else:
        text = arrays["architectures"].tobytes().decode()
        index = StringIndex(tuple(text.split("\n")) if text else ())
    if len(index.architectures) != rows:
        raise ValueError(f"{len(index.architectures):,} architectures in a table of {rows:,} rows")
    return index


class StringIndex:
    """Architectures whose string is their identity."""

    def __init__(self, architectures: tuple[str, ...]) -> None:
        self.architectures: Sequence[str] = architectures

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {architecture: row for row, architecture in enumerate(self.architectures)}

    def row(self, architecture: str) -> int | None:
        """Return the row of a string; None where there is none."""
        return self._rows.get(architecture.strip())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the strings, one a line, as UTF-8."""
        return {"architectures": np.frombuffer("\n".join(self.architectures).encode(), np.uint8)}


class CellIndex:
    """Cells of NAS-Bench-101: any string of an isomorphic cell leads to the row.

    Args:
        hashes: (n, 16) uint8, the benchmark's.
        cells: (n,) uint64, of :func:`pack_cell`.
    """

    def __init__(self, hashes: np.ndarray, cells: np.ndarray) -> None:
        if hashes.shape != (len(cells), HASH_BYTES) or hashes.dtype != np.uint8 or cells.dtype != np.uint64:
            raise ValueError("hashes and cells of NAS-Bench-101 do not belong together")
        self._hashes = np.ascontiguousarray(hashes)
        self._cells = cells
        self.architectures: Sequence[str] = PackedCells(cells)

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """The first half of each hash in rising order, and the row of each."""
        halves = self._hashes.view(">u8")[:, 0].astype(np.uint64)
        order = np.argsort(halves, kind="stable")
        return halves[order], order

    def row(self, architecture: str) -> int | None:
        """Return the row of a cell; None where there is none, or the string is of no cell."""
        try:
            wanted = cell_hash(architecture)
        except SpaceError:
            return None
        halves, order = self._sorted
        half = np.uint64(int.from_bytes(wanted[:8], "big"))
        for place in range(np.searchsorted(halves, half), np.searchsorted(halves, half, "right")):
            if self._hashes[order[place]].tobytes() == wanted:
                return int(order[place])
        return None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the hashes and the cells."""
        return {"hashes": self._hashes, "cells": self._cells}
