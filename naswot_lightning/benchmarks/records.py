"""What the readers of all formats yield: an architecture, and every value that a file has of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from naswot_lightning.spaces.nasbench101.graph import format_graph, graph_hash, live_graph

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
