"""One search: candidates, scores, ranking, each written as it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import pandas as pd

from naswot_lightning.columns import BENCHMARK_ACC
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import rank, write_ranking
from naswot_lightning.report.run import BenchmarkEvidence
from naswot_lightning.search.algorithms.base import Proposal, proposal_of
from naswot_lightning.search.benchmark import find_benchmark_evidence, write_benchmark_evidence
from naswot_lightning.search.plan import Search
from naswot_lightning.storage.run_folder import note_versions
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows


@dataclass(frozen=True)
class SearchResult:
    """What came out of a search."""

    finished: Sequence[ScoreRow]
    """all candidates of the folder in the order in which they were finished."""
    proposed: Sequence[ScoreRow]
    """all candidates in the order of their proposal; one that was proposed again is there again."""
    evaluated: Sequence[ScoreRow]
    """those that were evaluated whole, each once."""
    ranking: pd.DataFrame
    """of those, best first (:func:`~naswot_lightning.ranking.rank`)."""
    benchmark: BenchmarkEvidence | None
    """what a table of known accuracies says of the ranking."""
    n_new: int
    """candidates that were not finished before."""

    @property
    def succeeded(self) -> bool:
        """Whether any candidate has a score."""
        return bool(self.ranking["status"].iloc[0] == "ok")


def run(search: Search, first: Sequence[Proposal]) -> SearchResult:
    """Run a search in its folder, which is open, continuing what it holds; write the ranking.

    Args:
        search: that is planned.
        first: its first batch.

    Raises:
        UserError: no candidate was evaluated whole.
    """
    folder = search.folder
    note_versions(folder.versions)
    with ExitStack() as opened, ScoreRows(folder.scores) as finished:
        for each in (search.evaluator, search.executor):  # what they hold is let go before the ranking
            if isinstance(each, AbstractContextManager):
                opened.enter_context(each)
        loop = search.loop(finished)
        proposed = loop.run(search.algorithm, first)
    folder.expect_in_place()
    # Trials of a part of the epochs do not compare with whole evaluations: they are not ranked.
    evaluated = [row for row in {proposal_of(row): row for row in proposed}.values() if row.fidelity is None]
    if not evaluated:
        raise UserError("no candidate was trained for all epochs: give a larger --samples or --budget")
    accuracies = {} if search.benchmark is None else {BENCHMARK_ACC.name: search.benchmark.accuracies(evaluated)}
    ranking = rank(evaluated, search.criteria, accuracies)
    write_ranking(folder.path, ranking)
    found = None
    if search.benchmark:
        found = find_benchmark_evidence(ranking, search.benchmark)
        write_benchmark_evidence(folder.path, found)
    return SearchResult(finished.rows, proposed, evaluated, ranking, found, loop.fresh)
