"""The ranking: its order, its files, its table, and the choice of picks."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.files import write_whole
from naswot_lightning.proxies import get_proxy

Row = dict[str, Any]

COLUMNS = ("rank", "architecture", "canonical", "score", "params", "macs", "n_units", "status")
SIZES = {"params": "parameters", "macs": "MACs", "n_units": "rectified units"}
_MOST_RANKS = 1_000_000  # of one span of --picks, far beyond what can be trained
_STATUS_ORDER = {"ok": 0, "degenerate": 1, "failed": 2}


def rank(rows: Iterable[Row], columns: Sequence[Sequence[str]] = (("naswot",),)) -> list[Row]:
    """Return rows best first, degenerate then failed ones last, equals in the order they came, with a rank.

    Args:
        rows: of ``scores.jsonl``.
        columns: the scores asked for, as :func:`naswot_lightning.proxies.parse_scores` returns them. The first one
            decides; where there are several each is a column of its own, and repeats add standard deviations.
    """
    rows = list(rows)
    values = {"+".join(names): _column(rows, names) for names in columns}
    first = next(iter(values))
    extra = values if len(values) > 1 else {}
    deviations = [f"{name}_std" for name in (rows[0].get("stds", {}) if rows else {})]
    described = [
        {
            **row,
            "score": values[first][position],
            "status": _joint_status(row, columns[0]),
            **{name: column[position] for name, column in extra.items()},
            **{f"{name}_std": std for name, std in row.get("stds", {}).items()},
        }
        for position, row in enumerate(rows)
    ]
    described.sort(key=lambda row: (_STATUS_ORDER[row["status"]], -(row["score"] or 0.0)))
    names = [*COLUMNS, *extra, *deviations]
    return [{**{n: row.get(n) for n in names}, "rank": place} for place, row in enumerate(described, start=1)]


def _column(rows: Sequence[Row], names: Sequence[str]) -> list[float | None]:
    """Return one proxy's values, or the mean over several proxies of each row's place (1 best, 0 last)."""
    if len(names) == 1:
        return [row["scores"][names[0]] for row in rows]
    places = [_places([row["scores"][name] for row in rows], get_proxy(name).higher_is_better) for name in names]
    return [sum(each) / len(each) for each in zip(*places, strict=True)]


def _places(values: Sequence[float | None], higher_is_better: bool) -> list[float]:
    """Return each value's place: 1 the best, 0 the last, the mean place for equals; a missing value is last."""
    from scipy.stats import rankdata

    sign = 1.0 if higher_is_better else -1.0
    ranks = rankdata([-math.inf if value is None else sign * value for value in values])
    return [float(r - 1) / max(len(values) - 1, 1) for r in ranks]


def _joint_status(row: Row, names: Sequence[str]) -> str:
    if row["status"] == "ok" and any(row["scores"][name] is None for name in names):
        return "degenerate"
    return str(row["status"])


def write_ranking(folder: Path, ranking: Sequence[Row]) -> None:
    """Write ``ranking.json`` and ``ranking.csv``; the same rows give the same bytes."""
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in ranking)
    write_whole(folder / "ranking.json", f"[\n{lines}\n]\n")
    write_whole(folder / "ranking.csv", to_csv(ranking, list(ranking[0])))


def to_csv(rows: Iterable[Row], columns: Sequence[str]) -> str:
    """Write rows as CSV; what is missing is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_ranking(folder: Path) -> list[Row]:
    """Read ``ranking.json``.

    Raises:
        UserError: there is none yet, or it is damaged.
    """
    path = folder / "ranking.json"
    try:
        ranking = json.loads(path.read_text())
        complete = isinstance(ranking, list) and all(set(COLUMNS) <= set(row) for row in ranking)
    except FileNotFoundError:
        raise UserError(f"no ranking in {folder}: run search.py --run_dir {folder} first") from None
    except (ValueError, TypeError):
        complete = False
    if not complete:
        raise UserError(f"{path} is damaged: run search.py --run_dir {folder} again, which rewrites it")
    return list(ranking)


def choose_picks(ranking: Sequence[Row], top: int, select: str = "top") -> list[Row]:
    """Return ``top`` networks that differ; those that are degenerate or failed are no picks.

    Args:
        ranking: best first.
        top: how many.
        select: "top" for the best, "spread" for evenly spaced places from the best to the last, which is what a check
            of the score on a space without a benchmark needs.

    Raises:
        UserError: there are fewer.
    """
    distinct: dict[str, Row] = {}
    for row in ranking:
        if row["status"] == "ok":
            distinct.setdefault(row["canonical"], row)
    rows = list(distinct.values())
    if top > len(rows):
        raise UserError(
            f"--top {top}: the ranking has {len(rows)} different networks with a score; "
            "choose fewer, or search with more --samples"
        )
    if select == "top" or top == 1:
        return rows[:top]
    return [rows[round(place * (len(rows) - 1) / (top - 1))] for place in range(top)]


def named_picks(ranking: Sequence[Row], text: str) -> list[Row]:
    """Return the networks of a ranking that ``text`` names, each once, best first; those without a score, too.

    Args:
        ranking: best first.
        text: "all" for every one that could be built, or ranks such as "1,5,10-12".

    Raises:
        UserError: another text, a rank that the ranking has not, or a network that failed.
    """
    chosen = {row["rank"] for row in ranking if row["status"] != "failed"} if text == "all" else _ranks(text)
    by_rank = {row["rank"]: row for row in ranking}
    distinct: dict[str, Row] = {}
    for place in sorted(chosen):
        if place not in by_rank:
            raise UserError(f"--picks {text}: the ranking has no rank {place}; its ranks are 1 to {len(ranking)}")
        if by_rank[place]["status"] == "failed":
            raise UserError(f"--picks {text}: rank {place} failed when it was scored (see scores.jsonl); leave it out")
        distinct.setdefault(by_rank[place]["canonical"], by_rank[place])
    return list(distinct.values())


def _ranks(text: str) -> set[int]:
    ranks: set[int] = set()
    for word in text.split(","):
        matched = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", word, re.ASCII)
        if matched is None:
            raise UserError(f"--picks {text}: expected all, or ranks such as 1,5,10-12")
        first, last = int(matched[1]), int(matched[2] or matched[1])
        ranks.update(range(first, min(last, first + _MOST_RANKS) + 1))
    return ranks


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Kendall's tau-b, or None where it is not defined (fewer than two values, or all equal)."""
    from scipy.stats import kendalltau

    if len(first) < 2:
        return None
    tau = float(kendalltau(first, second).statistic)
    return None if math.isnan(tau) else tau


def agreement_with_size(ranking: Sequence[Row]) -> dict[str, float | None]:
    """Return Kendall's tau between the score and parameters, MACs and rectified units, over scored rows."""
    scored = [row for row in ranking if row["status"] == "ok"]
    scores = [row["score"] for row in scored]
    return {size: kendall_tau(scores, [row[size] for row in scored]) for size in SIZES}
