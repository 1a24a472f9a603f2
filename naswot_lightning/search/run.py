"""One search: candidates, scores, ranking, each written as it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from naswot_lightning.columns import BENCHMARK_ACC
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import RankedRow, rank, write_ranking
from naswot_lightning.search.known import KnownFindings, find_known, write_known
from naswot_lightning.search.loop import Loop
from naswot_lightning.search.plan import Search
from naswot_lightning.search.trial import Proposal
from naswot_lightning.storage.columnar import Columnar, Records, Selection
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows
from naswot_lightning.storage.versions import note_versions


@dataclass(frozen=True)
class SearchResult:
    """What came out of a search."""

    proposed: Records[ScoreRow]
    """all candidates in the order of their proposal; one that was proposed again is there again."""
    evaluated: Records[ScoreRow]
    """those that were evaluated whole, each once."""
    ranking: Records[RankedRow]
    benchmark: KnownFindings | None
    """what a table of known accuracies says of the ranking."""
    n_new: int
    """candidates that were not finished before."""

    @property
    def succeeded(self) -> bool:
        """Whether any candidate has a score."""
        return self.ranking[0].status == "ok"


def run(search: Search, first: Sequence[Proposal]) -> SearchResult:
    """Run a search in its folder, which is open, continuing what it holds; write the ranking.

    Args:
        search: that is planned.
        first: its first batch.
    """
    folder = search.folder
    note_versions(folder.versions)
    with ExitStack() as opened, ScoreRows(folder.scores) as finished:
        for each in (search.evaluator, search.executor):  # what they hold is let go before the ranking
            if isinstance(each, AbstractContextManager):
                opened.enter_context(each)
        loop = Loop(search.space.name, search.canonical, search.evaluator, search.executor, search.seed, finished)
        proposed = loop.run(search.algorithm, first)
    folder.expect_in_place()
    evaluated = _whole(proposed.distinct())
    ranking = _rank(search, evaluated)
    write_ranking(folder.path, ranking)
    found = None
    if search.benchmark:
        found = find_known(ranking, search.benchmark)
        write_known(folder.path, found)
    return SearchResult(proposed, evaluated, ranking, found, loop.fresh)


def _rank(search: Search, rows: Selection[ScoreRow]) -> Columnar[RankedRow]:
    """Rank the candidates that were evaluated whole.

    Raises:
        UserError: there are none.
    """
    if not rows:
        raise UserError("no candidate was trained for all epochs: give a larger --samples or --budget")
    known = {} if search.benchmark is None else {BENCHMARK_ACC.name: search.benchmark.accuracies(rows)}
    return rank(rows, search.criteria, known)


def _whole(rows: Selection[ScoreRow]) -> Selection[ScoreRow]:
    """Return the candidates that were evaluated whole: of a training, for all epochs."""
    if rows.field("fidelity").distinct() == [None]:
        return rows
    return rows.choose(place for place, row in enumerate(rows) if row.fidelity is None)
