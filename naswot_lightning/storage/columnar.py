"""Records kept by their fields, in a fifth of the memory of as many objects: each is made when it is looked at."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, eq
from typing import Any, TypeVar, overload

import numpy as np

from naswot_lightning.storage.fields import Field

Record = TypeVar("Record")

# Records from the first on that are kept as objects, too: an algorithm with feedback looks at all of them at every
# step.
KEPT = 10_000


class Records(Sequence[Record]):
    """Records by their fields.

    It is equal to any sequence of equal records, and a slice of it is one of these.
    """

    @abstractmethod
    def field(self, name: str) -> Any:
        """Return a field of all records (:class:`~naswot_lightning.storage.fields.Field`)."""

    @abstractmethod
    def choose(self, places: Iterable[int]) -> Selection[Record]:
        """Return the records at these places, in this order."""

    @abstractmethod
    def _at(self, place: int) -> Record: ...

    @overload
    def __getitem__(self, place: int) -> Record: ...

    @overload
    def __getitem__(self, place: slice) -> Selection[Record]: ...

    def __getitem__(self, place: int | slice) -> Record | Selection[Record]:
        if isinstance(place, slice):
            return self.choose(range(len(self))[place])
        return self._at(range(len(self))[place])

    def __iter__(self) -> Iterator[Record]:
        return map(self._at, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]


class Columnar(Records[Record]):
    """Records that can be added to.

    Args:
        kind: makes a record of its fields, in their order.
        fields: of the records so far, by their names.
        kept: how many of those that are added first are kept as objects, too.
    """

    def __init__(self, kind: Callable[..., Record], fields: Mapping[str, Field[Any]], kept: int = KEPT) -> None:
        self._kind, self._fields = kind, dict(fields)
        self._values_of = attrgetter(*fields)
        self._adds = [field.append for field in fields.values()]
        self._kept: list[Record] = []
        self._most = 0 if len(self) else kept

    def __len__(self) -> int:
        return len(next(iter(self._fields.values())))

    def field(self, name: str) -> Any:
        """Return a field of all records; it grows with them."""
        return self._fields[name]

    def choose(self, places: Iterable[int]) -> Selection[Record]:
        """Return the records at these places, in this order."""
        return Selection(self, places)

    def append(self, record: Record) -> None:
        """Add a record."""
        if len(self._kept) < self._most:
            self._kept.append(record)
        for add, value in zip(self._adds, self._values_of(record), strict=True):
            add(value)

    def __iter__(self) -> Iterator[Record]:
        return map(self._kind, *self._fields.values())

    def _at(self, place: int) -> Record:
        if place < len(self._kept):
            return self._kept[place]
        return self._kind(*[field[place] for field in self._fields.values()])


class Selection(Records[Record]):
    """Records of others, in an order of its own.

    Args:
        records: the others.
        places: of these records among them.
    """

    def __init__(self, records: Columnar[Record], places: Iterable[int] = ()) -> None:
        self._records, self._places = records, array("q", places)

    def __len__(self) -> int:
        return len(self._places)

    def field(self, name: str) -> Any:
        """Return a field of all records."""
        return self._records.field(name).take(np.array(self._places))

    def choose(self, places: Iterable[int]) -> Selection[Record]:
        """Return the records at these places, in this order."""
        return Selection(self._records, map(self._places.__getitem__, places))

    def distinct(self) -> Selection[Record]:
        """Return each record once, where it comes first."""
        return Selection(self._records, dict.fromkeys(self._places))

    def extend(self, places: Iterable[int]) -> None:
        """Add the records at these places among the others."""
        self._places.extend(places)

    def _at(self, place: int) -> Record:
        return self._records._at(self._places[place])
