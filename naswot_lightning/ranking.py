"""The ranking: its order, its files, its table, and the choice of picks."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from naswot_lightning.errors import UserError
from naswot_lightning.files import write_whole

Row = dict[str, Any]

COLUMNS = ("rank", "architecture", "canonical", "score", "params", "macs", "n_units", "status")
SIZES = {"params": "parameters", "macs": "MACs", "n_units": "rectified units"}
_STATUS_ORDER = {"ok": 0, "degenerate": 1, "failed": 2}


def rank(rows: Iterable[Row]) -> list[Row]:
    """Return rows best first, degenerate then failed ones last, equals in the order they came, with a rank."""
    ordered = sorted(rows, key=lambda row: (_STATUS_ORDER[row["status"]], -(row["score"] or 0.0)))
    return [
        {**{name: row.get(name) for name in COLUMNS}, "rank": position} for position, row in enumerate(ordered, start=1)
    ]


def write_ranking(folder: Path, ranking: Sequence[Row]) -> None:
    """Write ``ranking.json`` and ``ranking.csv``; the same rows give the same bytes."""
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in ranking)
    write_whole(folder / "ranking.json", f"[\n{lines}\n]\n")
    write_whole(folder / "ranking.csv", to_csv(ranking, COLUMNS))


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


def choose_picks(ranking: Sequence[Row], top: int) -> list[Row]:
    """Return the first ``top`` networks that differ; those that are degenerate or failed are no picks.

    Raises:
        UserError: there are fewer.
    """
    distinct: dict[str, Row] = {}
    for row in ranking:
        if row["status"] == "ok":
            distinct.setdefault(row["canonical"], row)
    if top > len(distinct):
        raise UserError(
            f"--top {top}: the ranking has {len(distinct)} different networks with a score; "
            "choose fewer, or search with more --samples"
        )
    return list(distinct.values())[:top]


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
