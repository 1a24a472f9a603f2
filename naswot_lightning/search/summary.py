"""What a search says when it is done."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from naswot_lightning.analysis.agreement import agreement_with_size
from naswot_lightning.columns import COMBINED, SIZES, Criterion
from naswot_lightning.console import fold, print_table, print_text, terminal_width
from naswot_lightning.ranking import COLUMNS, RankedRow
from naswot_lightning.storage.columnar import Records
from naswot_lightning.storage.score_rows import ScoreRow
from spaces.errors import one_line

if TYPE_CHECKING:
    from naswot_lightning.search.plan import Search

_EXAMPLE = 22  # columns of an architecture that is named as an example: its line fits 80


def print_summary(search: Search, ranking: Records[RankedRow]) -> None:
    """Print the top of the ranking, what the score adds over plain size, and what could not be scored."""
    _print_top(search, ranking)
    if search.criteria[0].is_relative:
        print_text(describe_relative(search.criteria[0], len(ranking)))
    print()
    taus = agreement_with_size(ranking).items()
    sizes = ", ".join(f"{SIZES[size].label} {'not defined' if tau is None else f'{tau:.3f}'}" for size, tau in taus)
    print_text(f"What {search.criteria[0].label} adds over plain size: Kendall tau between it and {sizes}")
    if search.space.evidence:
        print_text(f"Known of this space: {_in_short(search.space.evidence)}")
    for status in ("degenerate", "failed"):
        found = ranking.field("status").map(lambda each, status=status: each == status).nonzero()[0].tolist()
        if found:
            example = one_line(ranking[found[0]].architecture)
            example = example if terminal_width() is None else fold(example, _EXAMPLE)
            print_text(f"{len(found)} {status}, ranked last, e.g. {example} (reasons in scores.jsonl)")
    print(f"Ranking: {search.folder.path / 'ranking.csv'}")


def print_doubts(rows: Iterable[ScoreRow]) -> None:
    """Say how many candidates have a score and a reason to doubt it, or miss another score, and one of the reasons."""
    doubted = [row for row in rows if row.status == "ok" and row.reason is not None]
    if doubted:
        example = f"e.g. {doubted[0].architecture}: {doubted[0].reason}"
        print_text(one_line(f"{len(doubted)} with a reservation, {example} (all in scores.jsonl)"))


def _in_short(evidence: str) -> str:
    """Return the first sentence, and where the others stand."""
    first, *others = re.split(r"(?<=\.)\s+(?=[A-Z])", evidence, maxsplit=1)
    return f"{first} (report.html)" if others else first


def describe_relative(criterion: Criterion, candidates: int) -> str:
    """Return what a score is that depends on the candidates which are ranked together."""
    parts = ", ".join(part.label for part in criterion.parts)
    return (
        f"{criterion.label} is the {COMBINED[criterion.combine]} by {parts} among these {candidates} candidates: "
        "it does not compare with the same network's in another ranking"
    )


def _print_top(search: Search, ranking: Records[RankedRow]) -> None:
    top, first = [row.to_json() for row in ranking[: search.top]], search.criteria[0]
    labels = {criterion.name: criterion.label for criterion in search.criteria}
    extra = [name for name in top[0] if name not in COLUMNS and name != first.name]
    sizes = ("params", "macs", "n_units")
    names = ("rank", "score", *extra, *sizes, "architecture")
    print_table(
        f"{search.space.name} on {search.dataset}: best {len(top)} of {len(ranking)} by {first.label}",
        (
            "rank",
            first.label if extra else "score",
            *(labels.get(name, name) for name in extra),
            *(SIZES[name].label for name in sizes),
            "architecture",
        ),
        ([row[name] for name in names] for row in top),
        optional=[SIZES["n_units"].label, SIZES["macs"].label, *(labels.get(name, name) for name in extra)],
        complete_in="ranking.csv",
    )
