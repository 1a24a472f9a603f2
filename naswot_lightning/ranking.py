"""The ranking: its order and its files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from naswot_lightning.columns import SIZES, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import read_own, write_csv, write_whole
from naswot_lightning.storage.records import STRICT, Count, Positive, from_plain, parse_json
from naswot_lightning.storage.score_rows import ScoreRow, Status

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


def rank(rows: Sequence[ScoreRow], criteria: Sequence[Criterion]) -> list[RankedRow]:
    """Return rows best first, degenerate then failed ones last, equals in the order they came, with a rank.

    Args:
        rows: finished candidates.
        criteria: the first one decides; where there are several each is a column of its own, and repeats add standard
            deviations.

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
    values = [_values(rows, criterion) for criterion in criteria]
    states = [_joint_status(row, criteria[0]) for row in rows]
    sign = 1.0 if len(criteria[0].parts) > 1 or criteria[0].parts[0].higher_is_better else -1.0
    order = sorted(range(len(rows)), key=lambda i: (_STATUS_ORDER[states[i]], -sign * (values[0][i] or 0.0)))
    deviations = list(dict.fromkeys(name for row in rows for name in row.stds or {}))
    extra = [(criterion.name, column) for criterion, column in zip(criteria, values, strict=True)]
    return [
        RankedRow(
            number,
            rows[i].architecture,
            rows[i].canonical,
            values[0][i],
            rows[i].params,
            rows[i].macs,
            rows[i].n_units,
            states[i],
            {
                **({name: column[i] for name, column in extra} if len(criteria) > 1 else {}),
                **{f"{name}_std": (rows[i].stds or {}).get(name) for name in deviations},
            },
        )
        for number, i in enumerate(order, start=1)
    ]


def _values(rows: Sequence[ScoreRow], criterion: Criterion) -> list[float | None]:
    """Return one score's values, or the mean over several scores of each row's relative rank (1 best, 0 last)."""
    if len(criterion.parts) == 1:
        return [row.scores[criterion.parts[0].name] for row in rows]
    ranks = [
        _relative_ranks([row.scores[part.name] for row in rows], part.higher_is_better) for part in criterion.parts
    ]
    return [sum(each) / len(each) for each in zip(*ranks, strict=True)]


def _relative_ranks(values: Sequence[float | None], higher_is_better: bool) -> list[float]:
    """Return 1 for the best value, 0 for the last, the mean rank for equals; a missing value is last."""
    from scipy.stats import rankdata

    sign = 1.0 if higher_is_better else -1.0
    ranks = rankdata([-math.inf if value is None else sign * value for value in values])
    return [float(r - 1) / max(len(values) - 1, 1) for r in ranks]


def _joint_status(row: ScoreRow, criterion: Criterion) -> Status:
    if row.status == "ok" and any(row.scores[part.name] is None for part in criterion.parts):
        return "degenerate"
    return row.status


def write_ranking(folder: Path, ranking: Sequence[RankedRow]) -> None:
    """Write ``ranking.json`` and ``ranking.csv``; the same rows give the same bytes."""
    rows = [row.to_json() for row in ranking]
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    write_whole(folder / "ranking.json", f"[\n{lines}\n]\n")
    write_csv(folder / "ranking.csv", rows, list(rows[0]))


def read_ranking(folder: Path) -> list[RankedRow]:
    """Read ``ranking.json``.

    Raises:
        UserError: there is none yet, or it is damaged.
    """
    path = folder / "ranking.json"
    try:
        content = read_own(path)
    except FileNotFoundError:
        raise UserError(f"no ranking in {folder}: run search.py --run_dir {folder} first") from None
    try:
        entries = parse_json(content)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError("expected a list of objects")
        if not entries:
            raise ValueError("expected a candidate at least")
        rows = [RankedRow.from_json(entry) for entry in entries]
        if [row.rank for row in rows] != list(range(1, len(rows) + 1)):
            raise ValueError("expected the ranks 1, 2, ... in their order")
    except ValueError as error:
        cure = f"run search.py --run_dir {folder} again, which rewrites it"
        raise UserError(f"{path} is damaged: {cure} ({error})") from None
    return rows
