"""One field of many records: texts, labels, numbers, each as compact as it can be, and as arrays to compute with."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value")
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Field(ABC, Generic[Value]):
    """The values of one field, in the order of the records."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, place: int) -> Value: ...

    def __iter__(self) -> Iterator[Value]:
        return map(self.__getitem__, range(len(self)))

    @abstractmethod
    def append(self, value: Value) -> None:
        """Add the value of another record."""

    @abstractmethod
    def take(self, places: Integers) -> Field[Value]:
        """Return the field of the records at these places."""


class Texts(Field[str]):
    """Texts that mostly differ.

    Args:
        values: the first of them.
        like: a field that grows first and often has the same text at the same place, which is then kept once.
    """

    def __init__(self, values: Iterable[str] = (), like: Texts | None = None) -> None:
        self._values, self._like = list(values), like

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: int) -> str:
        return self._values[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def append(self, value: str) -> None:
        """Add a text."""
        twin = value if self._like is None else self._like[len(self._values)]
        self._values.append(twin if twin == value else value)

    def take(self, places: Integers) -> Texts:
        """Return the texts at these places."""
        return Texts(map(self._values.__getitem__, places.tolist()))


class Labels(Field[Any]):
    """Values of which few differ, each kept once.

    Args:
        labels: values that differ.
        codes: of each record, which of them is its own.
    """

    def __init__(self, labels: Iterable[Any] = (), codes: NDArray[Any] | None = None) -> None:
        self._labels = {label: code for code, label in enumerate(labels)}
        self._by_code = list(self._labels)
        self._codes = array("i", b"" if codes is None else codes.astype(np.intc).tobytes())

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, place: int) -> Any:
        return self._by_code[self._codes[place]]

    def __iter__(self) -> Iterator[Any]:
        return map(self._by_code.__getitem__, self._codes)

    def append(self, value: Any) -> None:
        """Add a value."""
        code = self._labels.setdefault(value, len(self._by_code))
        if code == len(self._by_code):
            self._by_code.append(value)
        self._codes.append(code)

    def take(self, places: Integers) -> Labels:
        """Return the values at these places."""
        return Labels(self._by_code, np.array(self._codes)[places])

    def map(self, function: Callable[[Any], int]) -> Integers:
        """Return a function of each value; it is called once for each label."""
        return np.array([function(label) for label in self._by_code], np.int64)[np.array(self._codes)]

    def distinct(self) -> list[Any]:
        """Return the values that differ, in the order in which they come first."""
        codes, first = np.unique(np.array(self._codes), return_index=True)
        return [self._by_code[code] for code in codes[np.argsort(first)]]


class Numbers(Field[float | None]):
    """Numbers, or None, which is NaN among them: no record holds that."""

    def __init__(self, values: Floats | None = None) -> None:
        self._values = array("d", b"" if values is None else values.tobytes())

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: int) -> float | None:
        value = self._values[place]
        return None if math.isnan(value) else value

    def __iter__(self) -> Iterator[float | None]:
        return (None if math.isnan(value) else value for value in self._values)

    def append(self, value: float | None) -> None:
        """Add a number."""
        self._values.append(math.nan if value is None else value)

    def take(self, places: Integers) -> Numbers:
        """Return the numbers at these places."""
        return Numbers(self.values()[places])

    def values(self) -> Floats:
        """Return all as an array; None is NaN."""
        return np.array(self._values)


class Counts(Field[int | None]):
    """Counts, or None, which is -1 among them."""

    def __init__(self, values: Integers | None = None) -> None:
        self._values = array("q", b"" if values is None else values.tobytes())

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: int) -> int | None:
        value = self._values[place]
        return None if value < 0 else value

    def __iter__(self) -> Iterator[int | None]:
        return (None if value < 0 else value for value in self._values)

    def append(self, value: int | None) -> None:
        """Add a count."""
        self._values.append(-1 if value is None else value)

    def take(self, places: Integers) -> Counts:
        """Return the counts at these places."""
        return Counts(self.values()[places])

    def values(self) -> Integers:
        """Return all as an array; None is -1."""
        return np.array(self._values)


class NamedNumbers(Field[Mapping[str, float | None] | None]):
    """Numbers by their names, of which most records have the same; or None.

    Attributes:
        names: of each record's numbers, a tuple, or None.
    """

    def __init__(self) -> None:
        self.names = Labels()
        self._starts = array("q")
        self._numbers = Numbers()

    @classmethod
    def of(cls, numbers: Mapping[str, Floats], length: int) -> NamedNumbers:
        """Return the field of so many records that all have numbers of these names."""
        field = cls()
        field.names = Labels([tuple(numbers)], np.zeros(length))
        field._starts = array("q", range(0, length * len(numbers), len(numbers)) if numbers else [0] * length)
        field._numbers = Numbers(np.stack(list(numbers.values()), axis=1) if numbers else None)
        return field

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, place: int) -> Mapping[str, float | None] | None:
        names, start = self.names[place], self._starts[place]
        return None if names is None else {name: self._numbers[start + at] for at, name in enumerate(names)}

    def append(self, value: Mapping[str, float | None] | None) -> None:
        """Add numbers."""
        self._starts.append(len(self._numbers))
        self.names.append(None if value is None else tuple(value))
        for number in (value or {}).values():
            self._numbers.append(number)

    def take(self, places: Integers) -> NamedNumbers:
        """Return the numbers at these places."""
        field = NamedNumbers()
        field.names = self.names.take(places)
        field._starts = array("q", np.array(self._starts)[places].tobytes())
        field._numbers = self._numbers
        return field

    def values(self, name: str) -> Floats:
        """Return those of one name as an array: NaN where it is None, and where a record has none of it."""
        at = self.names.map(lambda names: names.index(name) if name in (names or ()) else -1)
        values = np.full(len(self), np.nan)
        values[at >= 0] = self._numbers.values()[(np.array(self._starts) + at)[at >= 0]]
        return values
