"""How many pairs two rankings have in the same order, in many resamples at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Places = NDArray[np.intp]


def concordance(first: Sequence[float], second: Sequence[float], counts: Array) -> Array:
    """Return the concordant less the discordant pairs of drawn networks in each resample; ties are neither.

    In O(n log n) for each, where the matrix of all pairs takes O(n^2): 3,000 networks in 2,000 resamples take 0.2 s in
    place of 8.

    Args:
        first: n values.
        second: n values.
        counts: (resamples, n), how often each network was drawn.

    >>> concordance([1, 2, 3], [1, 3, 2], np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]]))
    array([1., 2.])
    """
    a, b = _codes(first), _codes(second)
    tied_in_first = untied(a * (b.max(initial=0) + 1) + b, counts) - untied(a, counts)  # and not in second
    # Of the pairs that differ in second, those that are neither concordant nor tied in first are discordant.
    return 2 * _concordant(a, b, counts) + tied_in_first - untied(b, counts)


def untied(values: Sequence[float] | NDArray[np.int64], counts: Array) -> Array:
    """Return how many pairs of drawn networks differ in a value, in each resample; arguments as above.

    >>> untied([1, 1, 3], np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]]))
    array([2., 0.])
    """
    order, starts = _groups(_codes(values))
    drawn = np.add.reduceat(counts[:, order], starts, axis=1)  # of each group of equals
    return np.asarray((np.square(counts.sum(1)) - np.square(drawn).sum(1)) / 2)


def _concordant(first: NDArray[np.int64], second: NDArray[np.int64], counts: Array) -> Array:
    """Return the concordant pairs.

    Networks are put, in the order of ``second``, into a tree of partial sums over the ranks by ``first`` (Fenwick
    1994), which says of each how many are below it in both.
    """
    drawn = np.ascontiguousarray(counts.T, np.int32)
    sums = np.zeros((int(first.max(initial=0)) + 1, len(counts)), np.int32)
    below, above = _paths(len(sums))
    found = np.zeros(len(counts), np.int64)
    order, starts = _groups(second)
    for places in np.split(order, starts[1:]):
        for place in places.tolist():
            found += drawn[place] * sums.take(below[first[place] - 1], 0).sum(0, dtype=np.int32)
        for place in places.tolist():
            sums[above[first[place]]] += drawn[place]
    return found.astype(np.float64)


def _codes(values: Sequence[float] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 1 for the lowest value, 2 for the next, ..., the same for equals."""
    return np.asarray(np.unique(np.asarray(values), return_inverse=True)[1].reshape(-1) + 1, np.int64)


def _groups(codes: NDArray[np.int64]) -> tuple[Places, Places]:
    """Return the places of the lowest code, then of the next, ..., and where each code begins among them."""
    order = np.argsort(codes, kind="stable")
    return order, np.flatnonzero(np.diff(codes[order], prepend=-1))


@lru_cache(maxsize=2)  # scores of the same networks mostly have as many different values
def _paths(size: int) -> tuple[list[Places], list[Places]]:
    """Return where the tree keeps the sum up to each place, and which of its sums each place is part of."""
    below, above = [np.zeros(0, np.intp)] * size, [np.zeros(0, np.intp)] * size
    for place in range(1, size):
        below[place] = np.append(below[place & (place - 1)], place)
    for place in range(size - 1, 0, -1):
        following = place + (place & -place)
        above[place] = np.append(above[following], place) if following < size else np.array([place])
    return below, above
