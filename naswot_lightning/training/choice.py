"""Which networks of a ranking are trained."""

from __future__ import annotations

import re
from collections.abc import Sequence

from naswot_lightning.errors import UserError
from naswot_lightning.ranking import RankedRow

_MOST_RANKS = 1_000_000  # of one span of --picks, far beyond what can be trained


def choose_picks(ranking: Sequence[RankedRow], top: int, select: str = "top") -> list[RankedRow]:
    """Return ``top`` networks that differ; those that are degenerate or failed are no picks.

    Args:
        ranking: best first.
        top: how many.
        select: "top" for the best, "spread" for evenly spaced ranks from the best to the last, which is what a check
            of the score on a space without a benchmark needs.

    Raises:
        UserError: there are fewer.

    >>> ranking = [RankedRow(n, f"a{n}", f"c{n}", -float(n), 10, 20, 5, "ok") for n in range(1, 10)]
    >>> [row.rank for row in choose_picks(ranking, 3)], [row.rank for row in choose_picks(ranking, 3, "spread")]
    ([1, 2, 3], [1, 5, 9])
    """
    distinct: dict[str, RankedRow] = {}
    for row in ranking:
        if row.status == "ok":
            distinct.setdefault(row.canonical, row)
    rows = list(distinct.values())
    if top > len(rows):
        raise UserError(
            f"--top {top}: the ranking has {len(rows)} different networks with a score; "
            "choose fewer, or search with more --samples"
        )
    if select == "top" or top == 1:
        return rows[:top]
    return [rows[round(step * (len(rows) - 1) / (top - 1))] for step in range(top)]


def named_picks(ranking: Sequence[RankedRow], text: str) -> list[RankedRow]:
    """Return the networks of a ranking that ``text`` names, each once, best first; those without a score, too.

    Args:
        ranking: best first.
        text: "all" for every one that could be built, or ranks such as "1,5,10-12".

    Raises:
        UserError: another text, a rank that the ranking has not, or a network that failed.

    >>> ranking = [RankedRow(n, f"a{n}", f"c{n}", -float(n), 10, 20, 5, "ok") for n in range(1, 10)]
    >>> [row.rank for row in named_picks(ranking, "1,3,7-9")]
    [1, 3, 7, 8, 9]
    """
    chosen = {row.rank for row in ranking if row.status != "failed"} if text == "all" else _ranks(text)
    by_rank = {row.rank: row for row in ranking}
    distinct: dict[str, RankedRow] = {}
    for rank in sorted(chosen):
        if rank not in by_rank:
            raise UserError(f"--picks {text}: the ranking has no rank {rank}; its ranks are 1 to {len(ranking)}")
        if by_rank[rank].status == "failed":
            raise UserError(f"--picks {text}: rank {rank} failed when it was scored (see scores.jsonl); leave it out")
        distinct.setdefault(by_rank[rank].canonical, by_rank[rank])
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
