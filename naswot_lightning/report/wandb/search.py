"""The run of a search: its settings, its ranking with drawn cells, how the score and size go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from naswot_lightning.columns import SIZES
from naswot_lightning.ranking import COLUMNS, as_dicts
from naswot_lightning.report.wandb.content import CHART_ROWS, cell_pictures, log_ranking, scatter
from naswot_lightning.storage.run_folder import RunFolder

CANDIDATES = "candidates"  # that were evaluated: the axis of the best so far
BEST_SCORE = "best_score"
_PICTURES = 10  # best rows whose cells are drawn: 0.1 s each
_STATUSES = ("degenerate", "failed")


@dataclass(frozen=True)
class SearchShown:
    """What a run of a search shows.

    Attributes:
        space: the search space.
        title: of the chart.
        ranking: best first.
        evaluated: scores in the order in which candidates were evaluated, NaN where there is none; empty where a score
            depends on the candidates that are ranked together, so that no best of some of them can be told.
        higher_is_better: of the scores.
        agreement: Kendall's tau of the score with each size.
    """

    space: str
    title: str
    ranking: pd.DataFrame
    evaluated: np.ndarray
    higher_is_better: bool
    agreement: Mapping[str, float | None]


def log_search(run: Any, shown: SearchShown, folder: RunFolder, artifacts: bool) -> None:
    """Log a search.

    Args:
        run: of wandb.
        shown: its content.
        folder: that holds the ranking's files.
        artifacts: keep these files in wandb, too.
    """
    import wandb

    run.define_metric(CANDIDATES)
    run.define_metric(BEST_SCORE, step_metric=CANDIDATES)
    for number, score in best_so_far(shown.evaluated, shown.higher_is_better):
        run.log({CANDIDATES: number, BEST_SCORE: score})
    scores = shown.ranking.loc[shown.ranking["status"] == "ok", "score"].tolist()
    histogram = {"scores": wandb.Histogram(scores)} if scores else {}
    run.log({"ranking": _table(shown), "score_vs_params": _chart(shown), **histogram})
    run.summary.update({name: value for name, value in _summary(shown).items() if value is not None})
    if artifacts:
        log_ranking(run, folder)


def best_so_far(scores: np.ndarray, higher_is_better: bool) -> list[tuple[int, float]]:
    """Return (candidates evaluated, best of them) wherever the best changes, and at the end.

    >>> best_so_far(np.array([3.0, np.nan, 1.0, 4.0, 2.0]), True)
    [(1, 3.0), (4, 4.0), (5, 4.0)]
    """
    known = np.flatnonzero(~np.isnan(scores))
    if not len(known):
        return []
    best = (np.maximum if higher_is_better else np.minimum).accumulate(scores[known])
    changed = np.flatnonzero(np.diff(best, prepend=np.nan) != 0)
    found = [(int(known[place]) + 1, float(best[place])) for place in changed]
    return found if found[-1][0] == len(scores) else [*found, (len(scores), float(best[-1]))]


def _table(shown: SearchShown) -> Any:
    import wandb

    rows = list(as_dicts(shown.ranking.head(CHART_ROWS)))
    drawn = cell_pictures(shown.space, [row["architecture"] for row in rows[:_PICTURES]])
    pictures = [*drawn, *[None] * (len(rows) - len(drawn))]
    data: list[Iterable[Any]] = [[picture, *row.values()] for picture, row in zip(pictures, rows, strict=True)]
    return wandb.Table(columns=["cell", *rows[0]], data=data)


def _chart(shown: SearchShown) -> Any:
    rows = [row for row in as_dicts(shown.ranking.head(CHART_ROWS)) if row["status"] == "ok"]
    points = [(row["params"], row["score"]) for row in rows if row["params"] is not None]
    return scatter(points, ("params", "score"), shown.title)


def _summary(shown: SearchShown) -> dict[str, Any]:
    best = next(as_dicts(shown.ranking.head(1)))
    return {
        BEST_SCORE: best["score"],
        "best_architecture": best["architecture"],
        **{f"best_{size}": best[size] for size in SIZES},
        CANDIDATES: len(shown.ranking),
        **{status: int((shown.ranking["status"] == status).sum()) for status in _STATUSES},
        **{f"tau/{size}": tau for size, tau in shown.agreement.items()},
        **{f"best_{name}": value for name, value in best.items() if name not in COLUMNS},
    }


def search_config(settings: Mapping[str, Any], probe: str) -> dict[str, Any]:
    """Return what the run's config holds: every setting but where it is shown, and what decides the scores besides.

    Args:
        settings: of the search.
        probe: the fingerprint of the mini-batch.
    """
    import torch

    shown = {name: value for name, value in settings.items() if name not in _OF_THE_COMMAND}
    return {**shown, "probe": probe, "torch": torch.__version__}


_OF_THE_COMMAND: Sequence[str] = ("wandb", "overwrite", "trust")
