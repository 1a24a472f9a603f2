"""A search in parts, for machines that nothing but a folder connects: which candidates each of them scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from naswot_lightning.errors import UserError
from naswot_lightning.search.algorithms.base import Algorithm
from naswot_lightning.search.trial import architecture_of
from naswot_lightning.storage.score_rows import ScoreRow


class Shard:
    """Proposes one part of the candidates that an algorithm proposes first, all at once.

    Args:
        algorithm: one without feedback, whose first batch is all that it proposes.
        canonical: the architecture of the network that is evaluated for a candidate.
        number: which part; 1 is the first.
        parts: how many there are.
    """

    def __init__(self, algorithm: Algorithm, canonical: Callable[[str], str], number: int, parts: int) -> None:
        self._algorithm, self._canonical = algorithm, canonical
        self._number, self._parts, self._name = number, parts, f"{number}/{parts}"
        self._own = self._all = 0

    def propose(self, rows: Sequence[ScoreRow]) -> Sequence[str]:
        """Return the candidates of this part, and after them nothing more.

        Raises:
            UserError: there are fewer networks than parts.
        """
        if rows or not (batch := self._algorithm.propose([])):
            return ()
        candidates = list(map(architecture_of, batch))
        shards = deal(candidates, self._canonical, self._parts)
        if not shards[-1]:
            networks = sum(map(bool, shards))
            cure = f"choose at most {networks} shards"
            raise UserError(f"--shard {self._name}: the candidates are {networks} different networks; {cure}")
        own = shards[self._number - 1]
        self._own, self._all = len(own), len(candidates)
        return own

    def __str__(self) -> str:
        return (
            f"This is shard {self._name} alone: {self._own:,} of {self._all:,} candidates. "
            "When all are finished: python -m naswot_lightning.merge --run_dir NEW SHARD SHARD ..."
        )


def deal(candidates: Sequence[str], canonical: Callable[[str], str], parts: int) -> list[list[str]]:
    """Return every candidate in one of ``parts``, in its order.

    Those of one network are in one part, which scores it once, as one machine would. To know the network of a candidate
    takes microseconds, to score it takes milliseconds at the least. Networks are dealt out in turn, as neighbours in a
    list cost about the same; where there are fewer than parts, the last ones are empty.

    >>> deal(["a", "b", "A", "c", "d"], str.lower, 2)
    [['a', 'A', 'c'], ['b', 'd']]
    """
    place: dict[str, int] = {}
    shards: list[list[str]] = [[] for _ in range(parts)]
    for candidate in candidates:
        network = _network(candidate, canonical)
        shards[place.setdefault(network, len(place)) % parts].append(candidate)
    return shards


def _network(candidate: str, canonical: Callable[[str], str]) -> str:
    try:
        return canonical(candidate)
    except Exception:  # noqa: BLE001 - any fault of one network is reported with it, when it is evaluated
        return candidate
