"""A table of known accuracies, one row per architecture, one column per measurement; and what its readers yield."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from zipfile import is_zipfile

import numpy as np

from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.spaces.errors import SpaceError
from naswot_lightning.spaces.nasbench101.graph import format_graph, graph_hash, live_graph
from naswot_lightning.storage.files import atomic_path
from naswot_lightning.storage.foreign import reading
from naswot_lightning.storage.records import STRICT, from_json

if TYPE_CHECKING:
    import pandas as pd

# Any other is a column of the user's own table, such as a latency.
MEASURES = ("accuracy", "loss", "seconds", "params", "macs")
# The split whose seconds are those of the training itself.
TRAINING = "train"


class Key(NamedTuple):
    """Says which value of an architecture a column of a table holds."""

    measure: str
    """Accuracy (percent), loss (cross-entropy), seconds, params (a count), macs (a count for one image), or the name of
    another column."""
    dataset: str
    """What the network was trained on."""
    split: str = ""
    """The images it was tested on; for seconds "train" is the training up to the epoch, any other split one pass."""
    epochs: int = 0
    """Length of the training recipe; 0 for what does not depend on it, or where it is not known."""
    seed: int = 0
    """Of the training; 0 for what does not depend on it, or where it is not known."""
    epoch: int = 0
    """How many of the epochs were done; at the end of the training, all."""


@dataclass(frozen=True)
class Record:
    """Values of one architecture; those of a later record of the same architecture are added."""

    architecture: str
    values: Mapping[Key, float]
    """NaN is a value that is not known."""
    number: int | None = None
    """The index in the benchmark's own order, where it has one."""


@dataclass(frozen=True)
class Reading:
    """A file that is being read: its records are read as they are asked for."""

    name: str
    space: str
    records: Iterable[Record] = field(repr=False)
    total: int | None = None
    """How many records there are, where the file says."""


class Format(ABC):
    """A format of files."""

    title: str

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Return whether a path is of this format, by its name and first bytes."""

    @abstractmethod
    def read(self, path: Path, space: str | None) -> Reading:
        """Begin to read a file; the space is the user's, None where the file must tell. Raises UserError."""


def is_hashed(space: str) -> bool:
    """Return whether the architectures of a space are compared by the hash that isomorphic cells share."""
    return space.partition(":")[0].startswith("nasbench101")


def identity(space: str, architecture: str) -> str | bytes:
    """Return what all strings of one architecture have in common; a malformed string is a SpaceError."""
    return cell_hash(architecture) if is_hashed(space) else architecture.strip()


def listed_as(space: str, architecture: str) -> str:
    """Return the string under which a table lists an architecture: dead vertices of a cell are left out."""
    return format_graph(live_graph(architecture)) if is_hashed(space) else architecture.strip()


@lru_cache(maxsize=1 << 16)
def cell_hash(architecture: str) -> bytes:
    """Return NAS-Bench-101's hash of a cell, 16 bytes; what is no cell of the space is a SpaceError."""
    return bytes.fromhex(graph_hash(live_graph(architecture)))


# What the benchmarks call the images that a search looks at.
VALIDATION = ("x-valid", "valid")
# What a file should be, and what to do where it is not, as messages say.
_WANTED = ("table of a benchmark", "convert the official file again")
_HASH_BYTES = 16

# A Key without its seed.
_Query = tuple[str, str, str, int, int]


class AvailableAccuracy(NamedTuple):
    """Accuracies that a table has, of some or all of its architectures."""

    dataset: str
    """What the networks were trained on, by the benchmark's own name."""
    split: str
    """The images that they were tested on."""
    epochs: int
    """Length of the training recipe; 0 where the table does not say."""
    seeds: tuple[int, ...]
    """Of the trainings, ascending."""


class Table:
    """A table of known accuracies of the architectures of a space, each as one string of it, in the table's own order.

    Names of data sets and splits are the benchmark's own. ``epochs`` are those of the training recipe, by default the
    longest that the table has for the data set and split: an architecture that it knows only for a shorter one has
    none. The default of ``seed`` is the mean over all trainings that the table has of the architecture.

    Columns are (n,) float64 each, NaN where a value is not known; ``source`` is their file. ``numbers`` are (n,)
    indices in the benchmark's own order, -1 where an architecture has none, ``identities`` what
    :func:`naswot_lightning.benchmarks.table.identity` says, if at hand.
    """

    def __init__(
        self, name: str, space: str, source: str, architectures: Sequence[str], columns: Mapping[Key, np.ndarray],
        numbers: np.ndarray | None = None, identities: Sequence[str | bytes] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.space, self.source = name, space, source
        self.architectures, self.columns, self.numbers = architectures, columns, numbers
        self._identity_of = cell_hash if is_hashed(space) else str.strip
        self._identities = identities or [self._identity_of(each) for each in architectures]
        self._seeds: dict[_Query, dict[int, Key]] = defaultdict(dict)
        self._longest: dict[tuple[str, str, str], int] = {}
        for key in sorted(columns):
            self._seeds[(*key[:4], key.epoch)][key.seed] = key
            # The keys ascend.
            self._longest[key[:3]] = key.epochs

    @cached_property
    def _rows(self) -> dict[str | bytes, int]:
        return {each: row for row, each in enumerate(self._identities)}

    @property
    def known(self) -> tuple[AvailableAccuracy, ...]:
        """The accuracies that there are at the end of a training."""
        return tuple(
            AvailableAccuracy(dataset, split, epochs, tuple(seeds))
            for (measure, dataset, split, epochs, epoch), seeds in self._seeds.items()
            if measure == "accuracy" and epoch == epochs
        )

    def __contains__(self, architecture: object, /) -> bool:
        """Return whether it knows anything of an architecture."""
        return isinstance(architecture, str) and self.row(architecture) is not None

    def row(self, architecture: str) -> int | None:
        """Return the row of an architecture; None where there is none, or the string is of no architecture."""
        try:
            return self._rows.get(self._identity_of(architecture))
        except SpaceError:
            return None

    def accuracy(
        self, architecture: str, dataset: str, split: str, epochs: int | None = None, seed: int | None = None
    ) -> float | None:
        """Return an accuracy in percent, or None where the table does not know it."""
        return self._value("accuracy", architecture, dataset, split, epochs, seed)

    def accuracies(self, architecture: str, dataset: str, split: str, epochs: int | None = None) -> dict[int, float]:
        """Return the accuracy of each training in percent, by its seed, ascending; none where there is none."""
        return self._by_seed("accuracy", architecture, dataset, split, epochs)

    def accuracy_at(
        self, architecture: str, dataset: str, split: str, epochs: int, epoch: int, seed: int | None = None
    ) -> float | None:
        """Return the accuracy after ``epoch`` epochs, from 1, of a recipe; percent, or None where it is not known."""
        return self._value("accuracy", architecture, dataset, split, epochs, seed, epoch)

    def loss(
        self, architecture: str, dataset: str, split: str, epochs: int | None = None, seed: int | None = None
    ) -> float | None:
        """Return a cross-entropy, or None where the table does not know it."""
        return self._value("loss", architecture, dataset, split, epochs, seed)

    def seconds(self, architecture: str, dataset: str, epochs: int | None = None) -> float | None:
        """Return what a search would have paid: seconds of training, and of one pass of validation if known."""
        epochs = self._recipe("seconds", dataset, TRAINING, epochs)
        return self.seconds_at(architecture, dataset, epochs, epochs)

    def seconds_at(self, architecture: str, dataset: str, epochs: int, epoch: int) -> float | None:
        """Return :meth:`seconds` for a part of the epochs; the share of all, where the file has the whole alone."""
        training = self.training_seconds(architecture, dataset, epochs, epoch=epoch)
        if training is None:
            return None
        passes = (self._value("seconds", architecture, dataset, split, epochs, None) for split in VALIDATION)
        return training + next((seconds for seconds in passes if seconds is not None), 0.0)

    def training_seconds(
        self, architecture: str, dataset: str, epochs: int | None = None, seed: int | None = None,
        epoch: int | None = None,
    ) -> float | None:  # fmt: skip
        """Return seconds of training alone, without validation, after ``epoch`` of the epochs; after all by default."""
        # Benchmarks with curves store times on the way; for the others every epoch takes the same time.
        known = self._value("seconds", architecture, dataset, TRAINING, epochs, seed, epoch)
        if known is not None or not epoch or not epochs:
            return known
        whole = self._value("seconds", architecture, dataset, TRAINING, epochs, seed)
        return None if whole is None or epoch > epochs else whole * epoch / epochs

    def params(self, architecture: str, dataset: str | None = None) -> int | None:
        """Return the number of parameters; they differ between data sets by their classes."""
        return self._size("params", architecture, dataset)

    def macs(self, architecture: str, dataset: str | None = None) -> int | None:
        """Return the multiply-accumulate operations for one image, as the benchmark counts them."""
        return self._size("macs", architecture, dataset)

    def number(self, architecture: str) -> int | None:
        """Return the index of an architecture in the benchmark's own order, where it has one."""
        row = self.row(architecture)
        number = -1 if row is None or self.numbers is None else int(self.numbers[row])
        return None if number < 0 else number

    def every_accuracy(
        self, dataset: str, split: str, epochs: int | None = None, seed: int | None = None
    ) -> np.ndarray:
        """Return the accuracy of every architecture in percent, (n,) in their order; NaN where it is not known."""
        columns = self._columns("accuracy", dataset, split, epochs)
        return self._mean([column for each, column in columns.items() if seed in (None, each)])

    @property
    def further(self) -> tuple[str, ...]:
        """The names of the columns that are no accuracies and no sizes, such as latencies of devices."""
        return tuple(dict.fromkeys(key.measure for key in self.columns if key.measure not in MEASURES))

    def column(self, name: str, dataset: str | None = None) -> np.ndarray:
        """Return a further column, (n,) in the order of the architectures; NaN where a value is not known.

        Repeats have their mean. A name that it has not, or only of several data sets, is a UserError.
        """
        if not self.further:
            raise UserError(f"{self.name} has no column {name}, only accuracies and sizes")
        expect_name(f"column of {self.name}", name, self.further)
        by_dataset: dict[str, list[np.ndarray]] = {}
        for key in self.columns:
            if key.measure == name and dataset in (None, key.dataset):
                by_dataset.setdefault(key.dataset, []).append(self.columns[key])
        if len(by_dataset) != 1:
            there = ", ".join(sorted({key.dataset for key in self.columns if key.measure == name}))
            raise UserError(f"{self.name} has {name} on {there}; choose one with --benchmark_dataset")
        return self._mean(next(iter(by_dataset.values())))

    def _mean(self, chosen: Sequence[np.ndarray]) -> np.ndarray:
        # The mean over those values that the table has of each architecture: they differ in number.
        counts = sum((~np.isnan(column) for column in chosen), np.zeros(len(self.architectures), int))
        sums = sum((np.nan_to_num(column) for column in chosen), np.zeros(len(self.architectures)))
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def write_parquet(self, path: Path) -> int:
        """Write every accuracy as Parquet, one row per training, split and epoch; return how many rows there are."""
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            cure = "pip install 'naswot-lightning[parquet]'"
            raise UserError(f"Parquet needs pyarrow, which is not installed: {cure}") from None
        written, writer = 0, None
        # One frame per column of accuracies: NAS-Bench-101 has 30 million rows in all.
        with atomic_path(path) as unfinished:
            for frame in self._frames():
                part = pyarrow.Table.from_pandas(frame, preserve_index=False)
                writer = writer or parquet.ParquetWriter(unfinished, part.schema)
                writer.write_table(part)
                written += len(frame)
            if writer is not None:
                writer.close()
        return written

    def _frames(self) -> Iterator[pd.DataFrame]:
        """Yield what every training of one data set, split, epoch and seed says: the long form of a CSV."""
        import pandas as pd

        unknown = np.full(len(self.architectures), np.nan)
        numbers = unknown if self.numbers is None else np.where(self.numbers < 0, np.nan, self.numbers)
        for key in sorted(key for key in self.columns if key.measure == "accuracy"):
            same = {name: getattr(key, name) for name in ("dataset", "split", "epochs", "epoch", "seed")}
            beside = {"loss": key._replace(measure="loss"), "seconds": key._replace(measure="seconds", split=TRAINING)}
            beside |= {"params": Key("params", key.dataset), "macs": Key("macs", key.dataset)}
            frame = pd.DataFrame(
                {"architecture": self.architectures, "index": numbers, **same, "accuracy": self.columns[key]}
                | {name: self.columns.get(each, unknown) for name, each in beside.items()}
            )
            # Whole numbers that may be missing: NaN would make them floats.
            yield frame[frame["accuracy"].notna()].astype(dict.fromkeys(("index", "params", "macs"), "Int64"))

    def _size(self, measure: str, architecture: str, dataset: str | None) -> int | None:
        # Parameters differ between data sets by the classifier alone: any will do where none is named.
        datasets = [each for what, each, *_ in self._seeds if what == measure and dataset in (None, each)]
        found = (self._value(measure, architecture, each, "", 0, None) for each in datasets)
        return next((round(size) for size in found if size is not None), None)

    def _value(
        self, measure: str, architecture: str, dataset: str, split: str, epochs: int | None, seed: int | None,
        epoch: int | None = None,
    ) -> float | None:  # fmt: skip
        values = self._by_seed(measure, architecture, dataset, split, epochs, epoch)
        if seed is not None:
            return values.get(seed)
        return sum(values.values()) / len(values) if values else None

    def _by_seed(
        self, measure: str, architecture: str, dataset: str, split: str, epochs: int | None,
        epoch: int | None = None,
    ) -> dict[int, float]:  # fmt: skip
        row = self.row(architecture)
        if row is None:
            return {}
        columns = self._columns(measure, dataset, split, epochs, epoch)
        values = {seed: column.item(row) for seed, column in columns.items()}
        # Without NaN, which does not equal itself.
        return {seed: value for seed, value in values.items() if value == value}

    def _columns(
        self, measure: str, dataset: str, split: str, epochs: int | None, epoch: int | None = None
    ) -> dict[int, np.ndarray]:
        epochs = self._recipe(measure, dataset, split, epochs)
        query = (measure, dataset, split, epochs, epochs if epoch is None else epoch)
        return {seed: self.columns[key] for seed, key in self._seeds.get(query, {}).items()}

    def _recipe(self, measure: str, dataset: str, split: str, epochs: int | None) -> int:
        return self._longest.get((measure, dataset, split), 0) if epochs is None else epochs


@dataclass(frozen=True)
class _Header:
    __pydantic_config__ = STRICT

    kind: Literal["naswot-lightning benchmark"]
    version: Literal[2]
    name: str
    space: str
    source: str
    columns: tuple[Key, ...]


def write_table(table: Table, path: Path) -> None:
    """Write a table as ``.npz``: float64 columns, compressed, and a JSON header that says what each of them is."""
    header = {
        "kind": "naswot-lightning benchmark", "version": 2, "name": table.name, "space": table.space,
        "source": table.source, "columns": [key._asdict() for key in table.columns],
    }  # fmt: skip
    arrays = {
        "header": _bytes(json.dumps(header, separators=(",", ":")).encode()),
        "architectures": _bytes("\n".join(table.architectures).encode()),
        **{f"column{place}": column for place, column in enumerate(table.columns.values())},
    }
    # To hash 423,624 cells takes half a minute.
    if is_hashed(table.space):
        arrays["hashes"] = _bytes(b"".join(table._identities))  # type: ignore[arg-type]
    if table.numbers is not None:
        arrays["numbers"] = table.numbers.astype(np.int64)
    with atomic_path(path) as unfinished, open(unfinished, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type] # no array is called allow_pickle


def _bytes(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


def read_table(path: Path) -> Table:
    """Open a table, whose columns are read when they are asked for; what is no such file is a UserError."""
    if not path.exists():
        raise UserError(f"{path}: no such file")
    # numpy would say how to unpickle it.
    if not is_zipfile(path):
        raise UserError(f"{path} is not a valid {_WANTED[0]}; {_WANTED[1]}")
    with reading(path, *_WANTED), np.load(path) as archive:
        header = from_json(_Header, archive["header"].tobytes())
        architectures = archive["architectures"].tobytes().decode().split("\n")
        identities: list[str | bytes] = list(architectures)
        if is_hashed(header.space):
            joined = archive["hashes"].tobytes()
            identities = [joined[at : at + _HASH_BYTES] for at in range(0, len(joined), _HASH_BYTES)]
        numbers = archive.get("numbers")
        if len(identities) != len(architectures) or (numbers is not None and len(numbers) != len(architectures)):
            raise ValueError("hashes or indices of other architectures")
    columns = _FileColumns(path, header.columns, len(architectures))
    return Table(header.name, header.space, header.source, architectures, columns, numbers, identities)


class _FileColumns(Mapping[Key, np.ndarray]):
    """The columns of a file, each read once; the file is not kept open, so that a table can be sent to a worker."""

    def __init__(self, path: Path, keys: Sequence[Key], rows: int) -> None:
        self._path, self._rows = path, rows
        self._names = {key: f"column{place}" for place, key in enumerate(keys)}
        self._read: dict[Key, np.ndarray] = {}

    def __getitem__(self, key: Key) -> np.ndarray:
        name = self._names[key]
        # To decompress a column takes 8 ms of NAS-Bench-201, 50 ms of NAS-Bench-101.
        if key not in self._read:
            with reading(self._path, *_WANTED), np.load(self._path) as archive:
                column = archive[name]
                if column.dtype != np.float64 or column.shape != (self._rows,):
                    raise ValueError(f"{name} is {column.dtype} {column.shape}")
            self._read[key] = column
        return self._read[key]

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def __iter__(self) -> Iterator[Key]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
