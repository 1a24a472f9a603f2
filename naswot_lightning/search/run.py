"""One search: candidates, scores, ranking, each written as it is finished."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

import numpy as np

from naswot_lightning.analysis.agreement import agreement_with_size
from naswot_lightning.columns import BENCHMARK_ACC
from naswot_lightning.config import SearchConfig
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import RankedRow, rank, write_ranking
from naswot_lightning.report.html.write import offer_report
from naswot_lightning.report.search_figures import draw_search_figures
from naswot_lightning.report.wandb import runs
from naswot_lightning.report.wandb.search import SearchShown, log_search, search_config
from naswot_lightning.search.calibration import calibrate
from naswot_lightning.search.known import report_known
from naswot_lightning.search.loop import Loop
from naswot_lightning.search.plan import Search, plan_search
from naswot_lightning.search.summary import print_doubts, print_summary
from naswot_lightning.search.trial import Proposal, architecture_of
from naswot_lightning.storage.columnar import Columnar, Records, Selection
from naswot_lightning.storage.score_rows import ScoreRow, ScoreRows
from naswot_lightning.storage.versions import note_versions


def run_search(config: SearchConfig) -> int:
    """Rank the candidates of ``config``, or measure cheaper settings of the score on them, as it says.

    Returns:
        0, or 1 where no candidate could be scored.

    Raises:
        UserError: a setting, a file or the run folder is at fault.
    """
    search = plan_search(config)
    if search.calibrate:
        networks = list(dict.fromkeys(map(search.canonical, map(architecture_of, first_batch(search)))))
        return calibrate(search.calibrate, networks, f"{search.space.name}, {search.dataset}", search.folder)
    return run(search)


def run(search: Search, first: Sequence[Proposal] | None = None) -> int:
    """Run a search, continuing what its folder holds; return as :func:`run_search` does.

    Args:
        search: that is planned.
        first: its first batch, where it is known.
    """
    first = first or first_batch(search)  # what is at fault with the candidates is said before the folder is touched
    with search.folder.open(dict(search.settings), search.identity, search.overwrite):
        note_versions(search.folder.versions)
        with ExitStack() as opened, ScoreRows(search.folder.scores) as finished:
            for each in (search.evaluator, search.executor):  # what they hold is let go before the ranking
                if isinstance(each, AbstractContextManager):
                    opened.enter_context(each)
            loop = Loop(search.space.name, search.canonical, search.evaluator, search.executor, search.seed, finished)
            rows = loop.run(search.algorithm, first)
        search.folder.expect_in_place()
        ranking = _rank(search, rows.distinct())
        write_ranking(search.folder.path, ranking)
        print_summary(search, ranking)
        if rows.field("reason").distinct() != [None]:
            print_doubts(rows)
        if search.benchmark:
            report_known(search.folder.path, ranking, search.benchmark, search.criteria[0].label)
        if search.shard:
            print(search.shard)
        draw_search_figures(search.folder, search.settings, ranking)
        offer_report(search.folder)
        _track(search, _whole(rows.distinct()), ranking, loop.fresh)
    return 0 if ranking[0].status == "ok" else 1


def _rank(search: Search, rows: Selection[ScoreRow]) -> Columnar[RankedRow]:
    """Rank the candidates that were evaluated whole.

    Raises:
        UserError: there are none.
    """
    rows = _whole(rows)
    if not rows:
        raise UserError("no candidate was trained for all epochs: give a larger --samples or --budget")
    known = {} if search.benchmark is None else {BENCHMARK_ACC.name: search.benchmark.accuracies(rows)}
    return rank(rows, search.criteria, known)


def _whole(rows: Selection[ScoreRow]) -> Selection[ScoreRow]:
    """Return the candidates that were evaluated whole: of a training, for all epochs."""
    if rows.field("fidelity").distinct() == [None]:
        return rows
    return rows.choose(place for place, row in enumerate(rows) if row.fidelity is None)


def first_batch(search: Search) -> Sequence[Proposal]:
    """Return the first candidates of a search.

    Raises:
        UserError: there are none within its limits.
    """
    batch = search.algorithm.propose([])
    if not batch:
        raise UserError(f"{search.limits}; raise the limits")
    if search.limits.refused:
        print(search.limits)
    return batch


def _track(search: Search, rows: Records[ScoreRow], ranking: Records[RankedRow], fresh: int) -> None:
    run_id = f"{search.folder.run_id()}-search"
    if not fresh and runs.was_sent(search.folder, run_id):
        return
    config = search_config({**search.settings, **search.identity}, search.evaluator.fingerprint)
    run = runs.start_run(
        search.wandb.mode,
        search.wandb.project,
        search.folder.path,
        json.loads(json.dumps(config)),
        id=run_id,
        name=f"search {search.folder.name}",
        group=runs.wandb_group(search.folder, search.wandb.group),
        job_type="search",
    )
    if run is None:
        return
    shown = _shown(search, rows, ranking)
    if runs.send(run, lambda each: log_search(each, shown, search.folder, search.wandb.artifacts)):
        runs.mark_sent(search.folder, run_id)


def _shown(search: Search, rows: Records[ScoreRow], ranking: Records[RankedRow]) -> SearchShown:
    first = search.criteria[0]
    evaluated = np.empty(0) if first.is_relative else rows.field("scores").values(first.parts[0].name)
    return SearchShown(
        space=search.space.name,
        title=f"{first.label} against parameters, {search.space.name} on {search.dataset}",
        ranking=ranking,
        evaluated=evaluated,
        higher_is_better=first.parts[0].higher_is_better,
        agreement=agreement_with_size(ranking),
    )
