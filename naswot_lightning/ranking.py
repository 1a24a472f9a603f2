"""The ranking: its order and its files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from naswot_lightning.columns import PARETO_RANK, SIZES, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import atomic_open, csv_writer, to_cell
from naswot_lightning.storage.records import Count, Positive, checked_list, parse_json
from naswot_lightning.storage.score_rows import ScoreRow, Status

COLUMNS = ("rank", "architecture", "canonical", "score", "params", "macs", "n_units", "status")
_STATUS_ORDER = {"ok": 0, "degenerate": 1, "failed": 2}
# Texts stay Python's own, which the rows have already; counts are exact up to 2^63, and may be missing.
_DTYPES: dict[str, Any] = {
    "rank": "int64",
    **dict.fromkeys(("architecture", "canonical", "status"), object),
    **dict.fromkeys((*SIZES, PARETO_RANK), "Int64"),
}
_KINDS: dict[str, Any] = {
    "rank": Positive,
    **dict.fromkeys(("architecture", "canonical"), str),
    **dict.fromkeys((*SIZES, PARETO_RANK), Count | None),
    "status": Status,
}
# Rows that are plain objects while a ranking is written, and bytes while one is read: of a million all take 1.5 GB.
_ROWS_AT_ONCE = 100_000
_BYTES_AT_ONCE = 1 << 25


def rank(
    rows: Sequence[ScoreRow], criteria: Sequence[Criterion], known: Mapping[str, np.ndarray] | None = None
) -> pd.DataFrame:
    """Return rows best first, degenerate then failed ones last, equals in the order they came, with a rank.

    The first criterion decides. After :data:`COLUMNS`, where a score may be NaN and a size NA, there is a column for
    each of several criteria, for standard deviations over repeats, and for what is ``known`` of each row.
    """
    names = dict.fromkeys(part.name for criterion in criteria for part in criterion.parts)
    scores = {name: np.array([row.scores.get(name) for row in rows], dtype=float) for name in names}
    values = [_values(scores, criterion) for criterion in criteria]
    states = np.array([_STATUS_ORDER[row.status] for row in rows])
    # A row that has only some of the scores is degenerate.
    for part in criteria[0].parts:
        states[(states == 0) & np.isnan(scores[part.name])] = _STATUS_ORDER["degenerate"]
    own = {name: [getattr(row, name) for row in rows] for name in ("architecture", "canonical", *SIZES)}
    statuses = np.array(list(_STATUS_ORDER), dtype=object)[states]
    ranking = _to_frame({**own, "score": values[0], "status": statuses})[list(COLUMNS[1:])]
    further = {each.name: column for each, column in zip(criteria, values, strict=True)} if len(criteria) > 1 else {}
    for name in dict.fromkeys(name for row in rows for name in row.stds or ()):
        further[f"{name}_std"] = np.array([(row.stds or {}).get(name) for row in rows], dtype=float)
    # A score of the name of a size takes its place.
    for name, column in (further | dict(known or {})).items():
        ranking[name] = column
    higher_is_better = criteria[0].is_relative or criteria[0].parts[0].higher_is_better
    worth = np.where(np.isnan(values[0]), 0.0, values[0])
    # A stable order, by the last of its keys first.
    order = np.lexsort((-worth if higher_is_better else worth, states))
    ranking = ranking.iloc[order].reset_index(drop=True)
    ranking.insert(0, "rank", range(1, len(rows) + 1))
    return ranking


def _values(scores: Mapping[str, np.ndarray], criterion: Criterion) -> np.ndarray:
    """Return one score's values, NaN where one is missing, or what the ranks by several come to."""
    if not criterion.is_relative:
        return scores[criterion.parts[0].name]
    by_part = []
    for part in criterion.parts:
        ranks = ranks_of(scores[part.name], part.higher_is_better)
        if criterion.combine == "mean_rank":
            # 1 for the best, 0 for the last.
            by_part.append(((ranks - 1) / max(len(ranks) - 1, 1)).tolist())
        else:
            # log(rank / n), 0 for the best, by Python's own logarithm: numpy's last bits depend on the processor.
            by_part.append([math.log(rank / len(ranks)) for rank in ranks.tolist()])
    return np.array([sum(each) / len(each) for each in zip(*by_part, strict=True)])


def ranks_of(values: np.ndarray, higher_is_better: bool = True) -> np.ndarray:
    """Return the rank of each value, 1 the worst, the mean rank for equals; NaN is worse than any value."""
    from scipy.stats import rankdata

    worth = values if higher_is_better else -values
    return np.asarray(rankdata(np.where(np.isnan(values), -np.inf, worth)))


def as_dicts(ranking: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield each row as plain values by the names of the columns; None where there is none."""
    names = list(map(str, ranking))
    for start in range(0, len(ranking), _ROWS_AT_ONCE):
        part = ranking.iloc[start : start + _ROWS_AT_ONCE]
        columns = [part[name].astype(object).where(part[name].notna(), None).tolist() for name in names]
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))


def write_ranking(folder: Path, ranking: pd.DataFrame) -> None:
    """Write ``ranking.json`` and ``ranking.csv``; the same rows give the same bytes."""
    encode = json.JSONEncoder(allow_nan=False).encode
    with atomic_open(folder / "ranking.json") as lines, atomic_open(folder / "ranking.csv") as table:
        writer = csv_writer(table, list(map(str, ranking))).writer
        for number, entry in enumerate(as_dicts(ranking)):
            lines.write((",\n" if number else "[\n") + encode(entry))
            writer.writerow(map(to_cell, entry.values()))
        lines.write("\n]\n")


def read_ranking(folder: Path) -> pd.DataFrame:
    """Read ``ranking.json``; return the columns that :func:`rank` returns. A missing or damaged one is a UserError."""
    path = folder / "ranking.json"
    try:
        with open(path, "rb") as file:
            try:
                return _checked(_parts_by_lines(file))
            except ValueError:
                # It is laid out otherwise, or damaged.
                file.seek(0)
                return _checked([parse_json(file.read())])
    except FileNotFoundError:
        raise UserError(f"no ranking in {folder}: run naswot search --run_dir {folder} first") from None
    except ValueError as error:
        cure = f"run naswot search --run_dir {folder} again, which rewrites it"
        raise UserError(f"{path} is damaged: {cure} ({error})") from None


def _parts_by_lines(file: BinaryIO) -> Iterator[Any]:
    """Yield parts of a ranking that holds a row per line, as :func:`write_ranking` does."""
    end = file.readline()
    if end == b"[\n":
        while lines := file.readlines(_BYTES_AT_ONCE):
            end = lines.pop() if lines[-1] == b"]\n" else b""
            yield parse_json(b"[" + b"".join(lines).removesuffix(b",\n") + b"]")
    if end != b"]\n":
        raise ValueError("laid out otherwise")


def _checked(parts: Iterable[Any]) -> pd.DataFrame:
    frames = [_to_frame(_checked_columns(entries)) for entries in parts]
    ranking = pd.concat(frames, ignore_index=True)
    if ranking.empty:
        raise ValueError("expected a candidate at least")
    if (ranking["rank"] != np.arange(1, len(ranking) + 1)).any():
        raise ValueError("expected the ranks 1, 2, ... in their order")
    if (ranking["score"].isna() & (ranking["status"] == "ok")).any():
        raise ValueError("status is ok, and score is null")
    return ranking


def _checked_columns(entries: Any) -> dict[str, list[Any]]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("expected a list of objects")
    for name in COLUMNS:
        if not all(name in entry for entry in entries):
            raise ValueError(f"{name}: field required")
    names = dict.fromkeys(COLUMNS) | dict.fromkeys(name for entry in entries for name in entry)
    columns = {name: [entry.get(name) for entry in entries] for name in names}
    for name in SIZES:
        # A score of the name of a size, which is a float, stands in its column.
        columns[name] = [int(each) if isinstance(each, float) and each.is_integer() else each for each in columns[name]]
    for name, column in columns.items():
        try:
            columns[name] = checked_list(_KINDS.get(name, float | None), column)
        except ValueError as error:
            raise ValueError(f"{name}.{error}") from None
    return columns


def as_read(ranking: pd.DataFrame) -> pd.DataFrame:
    """Return a ranking as :func:`read_ranking` does, where a score of the name of a size is a count again."""
    return ranking.astype(dict.fromkeys(SIZES, "Int64"))


def no_rows() -> pd.DataFrame:
    """Return a ranking without a row."""
    return _to_frame({name: [] for name in COLUMNS})


def _to_frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(columns[name], dtype=_DTYPES.get(name, float)) for name in columns})
