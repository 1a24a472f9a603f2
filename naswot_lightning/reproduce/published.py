"""The numbers of the paper, as data with their source: the files of ``paper/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from naswot_lightning.report.figures.bars import Spread
from naswot_lightning.storage.records import parse_yaml

Kind = Literal["naswot", "random", "optimal", "algorithm", "weight sharing"]


@dataclass(frozen=True)
class PublishedRow:
    """A row of a table of the paper."""

    label: str
    kind: Kind
    """how it is run here; methods with weight sharing are quoted alone."""
    values: Mapping[str, Spread]
    """percent, by the names of the columns."""
    samples: int = 1
    """N, the architectures that a run looks at."""
    algorithm: str | None = None
    """the name of ``--algorithm``."""
    seconds: float | None = None
    note: str | None = None
    """what is odd about its numbers."""


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper."""

    source: str
    columns: Sequence[str]
    rows: Sequence[PublishedRow]


@dataclass(frozen=True)
class PublishedTaus:
    """Rank correlations of a figure of the paper."""

    source: str
    taus: Mapping[tuple[str, str, str], float]
    """Kendall's tau by space, data set and score."""

    def find(self, space: str, dataset: str, score: str) -> float | None:
        """Return a tau; None where none is on record. Options of a space and ``-valid`` do not count."""
        return self.taus.get((space.partition(":")[0], dataset.lower().removesuffix("-valid"), score))


def published_table(name: str) -> PublishedTable:
    """Return a table of the paper: table1, table2a, table2b."""
    read = _read(name)
    rows = []
    for row in read["rows"]:
        pairs = zip(read["columns"], row["values"], strict=True)
        values = {column: Spread(*pair) for column, pair in pairs if pair is not None}
        rows.append(PublishedRow(**{**row, "values": values}))
    return PublishedTable(read["source"], read["columns"], rows)


def published_taus(figure: str) -> PublishedTaus:
    """Return the correlations of a figure: figure3, figure4; none is on record of figure9 and figure10."""
    read = _read("correlations")[figure]
    taus = {(each["space"], each["dataset"], each["score"]): each["tau"] for each in read["taus"]}
    return PublishedTaus(read["source"], taus)


def _read(name: str) -> Any:
    return parse_yaml((files("naswot_lightning.reproduce") / "paper" / f"{name}.yaml").read_text(encoding="utf-8"))
