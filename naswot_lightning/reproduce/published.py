"""The figures of the paper, as data with their source: the files of ``paper/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from naswot_lightning.reproduce.result_row import Spread
from naswot_lightning.storage.plain_yaml import parse_yaml

Kind = Literal["naswot", "random", "optimal", "algorithm", "weight sharing"]


@dataclass(frozen=True)
class PublishedRow:
    """A row of a table of the paper.

    Attributes:
        label: the method.
        kind: how it is run here; methods with weight sharing are quoted alone.
        figures: percent, by the names of the columns.
        samples: N, the architectures that a run looks at.
        algorithm: the name of ``--algorithm``.
        seconds: of a run.
        note: what is odd about its figures.
    """

    label: str
    kind: Kind
    figures: Mapping[str, Spread]
    samples: int = 1
    algorithm: str | None = None
    seconds: float | None = None
    note: str | None = None


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper.

    Attributes:
        source: where it stands.
        space: that was searched.
        columns: their names.
        rows: in the order of the paper.
    """

    source: str
    space: str
    columns: Sequence[str]
    rows: Sequence[PublishedRow]


@dataclass(frozen=True)
class PublishedTaus:
    """Rank correlations of a figure of the paper.

    Attributes:
        source: where they stand.
        taus: Kendall's tau by space, data set and score.
    """

    source: str
    taus: Mapping[tuple[str, str, str], float]

    def find(self, space: str, dataset: str, score: str) -> float | None:
        """Return a tau; None where none is on record. Options of a space and ``-valid`` do not count."""
        return self.taus.get((space.partition(":")[0], dataset.lower().removesuffix("-valid"), score))


def published_table(name: str) -> PublishedTable:
    """Return a table of the paper: table1, table2a, table2b."""
    read = _read(name)
    return PublishedTable(read["source"], read["space"], read["columns"], [_row(read, row) for row in read["rows"]])


def published_taus(figure: str) -> PublishedTaus:
    """Return the correlations of a figure: figure3, figure4; none is on record of figure9 and figure10."""
    read = _read("correlations")[figure]
    taus = {(each["space"], each["dataset"], each["score"]): each["tau"] for each in read["taus"]}
    return PublishedTaus(read["source"], taus)


def _row(table: Mapping[str, Any], row: Mapping[str, Any]) -> PublishedRow:
    pairs = zip(table["columns"], row["figures"], strict=True)
    figures = {column: Spread(*pair) for column, pair in pairs if pair is not None}
    return PublishedRow(**{**row, "figures": figures})


def _read(name: str) -> Any:
    return parse_yaml((files("naswot_lightning.reproduce") / "paper" / f"{name}.yaml").read_text(encoding="utf-8"))
