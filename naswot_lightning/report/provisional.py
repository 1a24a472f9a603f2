"""The ranking of a search that is under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from naswot_lightning.columns import VAL_ACC, Column, Criterion
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import rank
from naswot_lightning.report.run import Run
from naswot_lightning.storage.score_rows import ScoreRow


def with_ranking(run: Run) -> Run:
    """Return a run whose finished candidates are ranked, where its search has not ranked them yet."""
    whole = [row for row in run.rows if row.fidelity is None]
    if not run.ranking.empty or not whole:
        return run
    return replace(run, ranking=rank(whole, criteria_of(run.settings, run.rows)), provisional=True)


def criteria_of(settings: Mapping[str, Any], rows: Sequence[ScoreRow] = ()) -> Sequence[Criterion]:
    """Return what a search ranks by: its scores, or an accuracy where it trains; where settings name none, its rows'.

    Args:
        settings: of the search.
        rows: finished candidates.
    """
    from naswot_lightning.scores.registry import parse_scores

    names = tuple(rows[0].scores) if rows else ("score",)
    if settings.get("evaluator", "scores") == "scores":
        try:
            criteria = parse_scores(str(settings.get("score")))
            if not rows or {part.name for criterion in criteria for part in criterion.parts} <= set(names):
                return criteria
        except UserError:  # of a score that this version does not have
            pass
    known = {VAL_ACC.name: VAL_ACC}
    return [Criterion((known.get(name, Column(name, name)),)) for name in names]
