"""What the readers of all formats yield: an architecture, and every figure that a file has of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Measure = Literal["accuracy", "loss", "seconds", "params", "macs"]
TRAINING = "train"  # the split whose seconds are those of the training itself


class Key(NamedTuple):
    """Which figure of an architecture.

    Attributes:
        measure: accuracy (percent), loss (cross-entropy), seconds, params (a count), macs (a count for one image).
        dataset: that the network was trained on.
        split: of the images that it was tested on; for seconds "train" is the training up to the epoch, any other
            one pass over that split.
        epochs: of the training recipe; 0 for what does not depend on it, or where it is not known.
        seed: of the training; 0 for what does not depend on it, or where it is not known.
        epoch: how many of the epochs were done; at the end those of the recipe.
    """

    measure: Measure
    dataset: str
    split: str = ""
    epochs: int = 0
    seed: int = 0
    epoch: int = 0


@dataclass(frozen=True)
class Record:
    """Figures of one architecture; those of a later record of the same are added.

    Attributes:
        architecture: a string of the space.
        figures: NaN is a figure that is not known.
        number: its index in the benchmark's own order, where it has one.
    """

    architecture: str
    figures: Mapping[Key, float]
    number: int | None = None


@dataclass(frozen=True)
class Reading:
    """A file that is being read.

    Attributes:
        name: of the table.
        space: of its architectures.
        records: are read as they are asked for.
        total: how many records there are, where the file says.
    """

    name: str
    space: str
    records: Iterable[Record] = field(repr=False)
    total: int | None = None
