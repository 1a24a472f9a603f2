"""Cells of NAS-Bench-101 as 64-bit numbers, and the hash that equal cells share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import overload

import numpy as np

from spaces.nasbench101.graph import MAX_VERTICES, OPS, assemble, edges_of, format_graph, graph_hash, live_graph

HASH_BYTES = 16
_OPS = tuple(OPS)
_PAIRS = tuple(itertools.combinations(range(MAX_VERTICES), 2))
# From the lowest bit: the number of vertices, two bits for the operation of each inner vertex, one for each edge.
_SIZE_BITS = 3
_OP_BITS = 2
_EDGE_SHIFT = _SIZE_BITS + _OP_BITS * (MAX_VERTICES - 2)


@lru_cache(maxsize=1 << 16)
def cell_hash(architecture: str) -> bytes:
    """Return the benchmark's hash of a cell.

    Raises:
        SpaceError: the string is malformed, or its cell is not of the space.
    """
    return bytes.fromhex(graph_hash(live_graph(architecture)))


def pack_cell(architecture: str) -> int:
    """Return the live part of a cell as one number.

    >>> unpack_cell(pack_cell("conv3x3~0+conv1x1~0,1+maxpool3x3~+output~2"))
    'conv3x3~0+conv1x1~0,1+output~2'
    """
    graph = live_graph(architecture)
    edges = edges_of(graph)
    number = len(graph) + 1
    for place, vertex in enumerate(graph[:-1]):
        number |= _OPS.index(vertex.op) << (_SIZE_BITS + _OP_BITS * place)
    for place, pair in enumerate(_PAIRS):
        number |= (pair in edges) << (_EDGE_SHIFT + place)
    return number


def unpack_cell(number: int) -> str:
    """Return the architecture string of a number of :func:`pack_cell`.

    Raises:
        ValueError: it is no cell.
    """
    size = number & ((1 << _SIZE_BITS) - 1)
    codes = [number >> (_SIZE_BITS + _OP_BITS * place) & 3 for place in range(max(size - 2, 0))]
    edges = {pair for place, pair in enumerate(_PAIRS) if number >> (_EDGE_SHIFT + place) & 1}
    if not 2 <= size <= MAX_VERTICES or any(code >= len(_OPS) for code in codes):
        raise ValueError(f"{number} is no cell of NAS-Bench-101")
    return format_graph(assemble(edges, [_OPS[code] for code in codes]))


class PackedCells(Sequence[str]):
    """Architecture strings that are written when they are asked for."""

    def __init__(self, numbers: np.ndarray) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...

    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        if isinstance(place, slice):
            return PackedCells(self._numbers[place])
        return unpack_cell(int(self._numbers[place]))
