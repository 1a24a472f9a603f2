"""The candidates of a ranking as arrays: what figures of a search show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from naswot_lightning.columns import BENCHMARK_ACC, VAL_ACC
from naswot_lightning.ranking import COLUMNS
from naswot_lightning.report.run import Run
from spaces.errors import one_line

_DEVIATION = "_std"
_NAMED = 3  # picks whose ranks a legend lists


@dataclass(frozen=True)
class Ranked:
    """Candidates with a score, best first, and how many have none.

    Attributes:
        settings: of the search.
        scores: by name, that which ranks first; (n,) NaN where one is missing.
        params: (n,) trainable parameters; NaN where they could not be counted.
        ranks: (n,) in the ranking.
        picked: (n,) whether each is a trained pick.
        left_out: how many candidates have another status than "ok", by status.
        provisional: whether the search is still at work.
    """

    settings: Mapping[str, Any]
    scores: Mapping[str, np.ndarray]
    params: np.ndarray
    ranks: np.ndarray
    picked: np.ndarray
    left_out: Mapping[str, int]
    provisional: bool = False

    @property
    def name(self) -> str:
        """The score that ranks."""
        return next(iter(self.scores))

    @property
    def values(self) -> np.ndarray:
        """Those of the score that ranks, (n,)."""
        return self.scores[self.name]

    @property
    def marked(self) -> np.ndarray:
        """Which candidates a figure marks, (n,): the picks, or the first of the ranking where there are none."""
        return self.picked if self.picked.any() else self.ranks == self.ranks[:1]

    @property
    def mark(self) -> str:
        """What the marked ones are."""
        ranks = self.ranks[self.marked].tolist()
        if not self.picked.any():
            return "first of the ranking"
        shown = ", ".join(map(str, ranks[:_NAMED])) + (", ..." if len(ranks) > _NAMED else "")
        return f"{len(ranks)} trained pick{'s' if len(ranks) > 1 else ''} (rank {shown})"

    @property
    def title(self) -> str:
        """What was searched on what, with the numbers of candidates."""
        n, others = len(self.ranks), sum(self.left_out.values())
        count = f"n = {n:,} candidates" if not others else f"n = {n:,} of {n + others:,} candidates"
        count += " so far" if self.provisional else ""
        counted = "".join(f", {number:,} {status}" for status, number in self.left_out.items())
        where, seed = self.settings.get("dataset", "?"), self.settings.get("seed", "?")
        left_out = f"; left out{counted[1:]}" if counted else ""
        return one_line(f"{self.settings.get('space', '?')} on {where}, seed {seed}, {count}{left_out}")


def ranked(run: Run) -> Ranked | None:
    """Return the candidates of a run's ranking; None where there is none, or no candidate has a score."""
    rows = run.ranking
    kept = (rows["status"] == "ok").to_numpy(bool)
    if not kept.any():
        return None
    picks = {result.canonical for result in run.results if result.space == run.settings.get("space", result.space)}
    counts = Counter(rows["status"])
    return Ranked(
        settings=run.settings,
        scores={name: values[kept] for name, values in score_columns(run).items()},
        params=rows["params"].to_numpy(float, na_value=np.nan)[kept],
        ranks=np.flatnonzero(kept) + 1,
        picked=rows["canonical"].isin(picks).to_numpy()[kept],
        left_out={status: count for status, count in counts.items() if status != "ok"},
        provisional=run.provisional,
    )


def score_columns(run: Run) -> dict[str, np.ndarray]:
    """Return the scores of a ranking's rows by name, (n,) each, that which ranks first.

    A single score has no column of its own name.
    """
    rows, first = run.ranking, _name(run.settings)
    others = [str(name) for name in rows if name not in (*COLUMNS, first, BENCHMARK_ACC.name)]
    others = [name for name in others if not name.endswith(_DEVIATION)]
    return {first: rows["score"].to_numpy(), **{name: rows[name].to_numpy() for name in others}}


def _name(settings: Mapping[str, Any]) -> str:
    """Return the score that ranks: the first of ``--score``, or an accuracy where candidates are trained."""
    if settings.get("evaluator", "scores") != "scores":
        return VAL_ACC.label
    return str(settings.get("score", "score")).partition(",")[0].strip()
