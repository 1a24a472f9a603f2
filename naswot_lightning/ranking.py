"""The ranking: its order and its files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from naswot_lightning.columns import SIZES, Combination, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.storage.columnar import Columnar, Records
from naswot_lightning.storage.fields import Counts, Floats, Integers, Labels, NamedNumbers, Numbers, Texts
from naswot_lightning.storage.files import atomic_open, csv_writer, to_cell
from naswot_lightning.storage.records import STRICT, Count, Positive, from_plain, parse_json
from naswot_lightning.storage.score_rows import ScoreRow, Status, in_columns

COLUMNS = ("rank", "architecture", "canonical", "score", "params", "macs", "n_units", "status")
_STATUS_ORDER = {"ok": 0, "degenerate": 1, "failed": 2}


@dataclass(frozen=True)
class RankedRow:
    """One row of a ranking.

    Attributes:
        rank: 1 is the best.
        architecture: the candidate.
        canonical: the architecture of its network.
        score: by which the rows are ordered.
        params: trainable parameters.
        macs: multiply-accumulates of one image.
        n_units: rectified units per image.
        status: "ok", or why it is ranked last.
        more: further columns by their names: every criterion where there are several, standard deviations.
    """

    rank: Positive
    architecture: str
    canonical: str
    score: float | None
    params: Count | None
    macs: Count | None
    n_units: Count | None
    status: Status
    more: Mapping[str, float | None] = field(default_factory=dict)

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if self.status == "ok" and self.score is None:
            raise ValueError("status is ok, and score is null")

    def to_json(self) -> dict[str, Any]:
        """Return it flat, as in ``ranking.json``."""
        return {**{name: getattr(self, name) for name in COLUMNS}, **self.more}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> RankedRow:
        """Return the row of an object of ``ranking.json``; ValueError where it is none."""
        more = {name: value for name, value in entry.items() if name not in COLUMNS}
        own = {name: _whole(entry[name]) if name in SIZES else entry[name] for name in COLUMNS if name in entry}
        return from_plain(cls, {**own, "more": more})


def _whole(value: object) -> object:
    """Return a size as it is counted: a score of its name, which is a float, stands in its column."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def rank(
    rows: Sequence[ScoreRow], criteria: Sequence[Criterion], known: Mapping[str, Floats] | None = None
) -> Columnar[RankedRow]:
    """Return rows best first, degenerate then failed ones last, equals in the order they came, with a rank.

    Args:
        rows: finished candidates.
        criteria: the first one decides; where there are several each is a column of its own, and repeats add standard
            deviations.
        known: further columns, a number a row, NaN where there is none.

    >>> from naswot_lightning.columns import Column
    >>> naswot = Criterion((Column("naswot", "naswot"),))
    >>> scored = {"a": 310.5, "b": None, "c": 345.0}
    >>> rows = [
    ...     ScoreRow("nasbench201", name, name, score, {"naswot": score}, 16384, 7000, 90000, 0, "", 0.1,
    ...              "ok" if score else "degenerate", None)
    ...     for name, score in scored.items()
    ... ]
    >>> [(row.rank, row.architecture) for row in rank(rows, [naswot])]
    [(1, 'c'), (2, 'a'), (3, 'b')]
    """
    table = in_columns(rows, kept=0)
    values = [_values(table.field("scores"), criterion) for criterion in criteria]
    states = _joint_states(table, criteria[0])
    higher_is_better = criteria[0].is_relative or criteria[0].parts[0].higher_is_better
    worth = np.where(np.isnan(values[0]), 0.0, values[0])
    order = np.lexsort((-worth if higher_is_better else worth, states))  # stable
    several = {each.name: own for each, own in zip(criteria, values, strict=True)} if len(criteria) > 1 else {}
    more = {name: own[order] for name, own in (several | _deviations(table) | dict(known or {})).items()}
    return Columnar(
        RankedRow,
        {
            "rank": Counts(np.arange(1, len(rows) + 1)),
            **{name: table.field(name).take(order) for name in ("architecture", "canonical")},
            "score": Numbers(values[0][order]),
            **{name: table.field(name).take(order) for name in SIZES},
            "status": Labels(_STATUS_ORDER, states[order]),
            "more": NamedNumbers.of(more, len(rows)),
        },
    )


def _deviations(rows: Records[ScoreRow]) -> dict[str, Floats]:
    deviations = rows.field("stds")
    names = dict.fromkeys(name for names in deviations.names.distinct() for name in names or ())
    return {f"{name}_std": deviations.values(name) for name in names}


def _values(scores: NamedNumbers, criterion: Criterion) -> Floats:
    """Return one score's values, NaN where one is missing, or what the ranks by several come to."""
    if not criterion.is_relative:
        return scores.values(criterion.parts[0].name)
    worth = _WORTH[criterion.combine]
    columns = [ranks_of(scores.values(part.name), part.higher_is_better) for part in criterion.parts]
    by_part = [worth(ranks) for ranks in columns]
    return np.array([sum(each) / len(each) for each in zip(*by_part, strict=True)])


def ranks_of(values: Floats, higher_is_better: bool = True) -> Floats:
    """Return the rank of each value, 1 the worst, the mean rank for equals; NaN is worse than any value."""
    from scipy.stats import rankdata

    worth = values if higher_is_better else -values
    return np.asarray(rankdata(np.where(np.isnan(values), -np.inf, worth)))


def _log_ranks(ranks: Floats) -> list[float]:
    """Return log(rank / n): 0 for the best. By Python's own logarithm: numpy's last bits depend on the processor."""
    return [math.log(rank / len(ranks)) for rank in ranks.tolist()]


def _relative_ranks(ranks: Floats) -> list[float]:
    """Return 1 for the best, 0 for the last."""
    shares: list[float] = ((ranks - 1) / max(len(ranks) - 1, 1)).tolist()
    return shares


_WORTH: dict[Combination, Callable[[Floats], list[float]]] = {
    "mean_log_rank": _log_ranks,
    "mean_rank": _relative_ranks,
}


def _joint_states(rows: Records[ScoreRow], criterion: Criterion) -> Integers:
    """Return the order of each row's status; "degenerate" is one that has only some of the scores."""
    scores, states = rows.field("scores"), rows.field("status").map(_STATUS_ORDER.__getitem__)
    for part in criterion.parts:
        states[(states == 0) & np.isnan(scores.values(part.name))] = _STATUS_ORDER["degenerate"]
    return states


def write_ranking(folder: Path, ranking: Sequence[RankedRow]) -> None:
    """Write ``ranking.json`` and ``ranking.csv``; the same rows give the same bytes."""
    encode = json.JSONEncoder(allow_nan=False).encode
    with atomic_open(folder / "ranking.json") as lines, atomic_open(folder / "ranking.csv") as table:
        writer = csv_writer(table, list(ranking[0].to_json())).writer
        for number, entry in enumerate(_entries(ranking)):
            lines.write((",\n" if number else "[\n") + encode(entry))
            writer.writerow(map(to_cell, entry.values()))
        lines.write("\n]\n")


def _entries(ranking: Sequence[RankedRow]) -> Iterator[dict[str, Any]]:
    """Yield each row as its ``to_json``; of a million rows, in a third of the time that it takes to make them."""
    if not isinstance(ranking, Records):
        yield from (row.to_json() for row in ranking)
        return
    fields = (ranking.field(name) for name in COLUMNS)
    for more, *own in zip(ranking.field("more"), *fields, strict=True):
        yield {**dict(zip(COLUMNS, own, strict=True)), **more}


def read_ranking(folder: Path) -> Columnar[RankedRow]:
    """Read ``ranking.json``.

    Raises:
        UserError: there is none yet, or it is damaged.
    """
    path = folder / "ranking.json"
    try:
        with open(path, "rb") as file:
            return _read_lines(file) or _read_whole(file)
    except FileNotFoundError:
        raise UserError(f"no ranking in {folder}: run search.py --run_dir {folder} first") from None
    except ValueError as error:
        cure = f"run search.py --run_dir {folder} again, which rewrites it"
        raise UserError(f"{path} is damaged: {cure} ({error})") from None


def _read_lines(file: BinaryIO) -> Columnar[RankedRow] | None:
    """Return a ranking as it is written, a row a line; None where it is laid out otherwise, or damaged."""
    try:
        return _ranked(_entries_of_lines(file))
    except ValueError:
        return None


def _entries_of_lines(file: BinaryIO) -> Iterator[object]:
    if file.readline() == b"[\n":
        for line in file:
            yield parse_json(line.removesuffix(b",\n"))
            if not line.endswith(b",\n"):
                break
    if file.read() != b"]\n":
        raise ValueError("laid out otherwise")


def _read_whole(file: BinaryIO) -> Columnar[RankedRow]:
    file.seek(0)
    entries = parse_json(file.read())
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("expected a list of objects")
    return _ranked(entries)


def no_rows() -> Columnar[RankedRow]:
    """Return a ranking without a row."""
    architectures = Texts()
    return Columnar(
        RankedRow,
        {
            "rank": Counts(),
            "architecture": architectures,
            "canonical": Texts(like=architectures),
            "score": Numbers(),
            **{name: Counts() for name in SIZES},
            "status": Labels(),
            "more": NamedNumbers(),
        },
    )


def _ranked(entries: Iterable[object]) -> Columnar[RankedRow]:
    rows = no_rows()
    for entry in entries:
        if not isinstance(entry, dict):
            raise ValueError("expected a list of objects")
        rows.append(RankedRow.from_json(entry))
    if not rows:
        raise ValueError("expected a candidate at least")
    if (rows.field("rank").values() != np.arange(1, len(rows) + 1)).any():
        raise ValueError("expected the ranks 1, 2, ... in their order")
    return rows
