"""The networks of a run as arrays: candidates with a score, and those whose accuracies are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from naswot_lightning.analysis.evidence import NetworksWithAccuracy
from naswot_lightning.columns import BENCHMARK_ACC, MACS, PARAMS, SCORE_INIT, TEST_ACC, VAL_ACC
from naswot_lightning.ranking import COLUMNS
from naswot_lightning.report.run import Run
from spaces.errors import one_line

_DEVIATION = "_std"
# Picks whose ranks a legend lists.
_NAMED = 3
_PERCENT = 100
_SIZES = (PARAMS.name, MACS.name)
# The score that every training begins with.
_TRAINED = "naswot"


@dataclass(frozen=True)
class ScoredCandidates:
    """Candidates with a score, best first, and how many have none."""

    settings: Mapping[str, Any]
    """of the search."""
    name: str
    """the score that ranks."""
    values: np.ndarray
    """(n,) of that score."""
    params: np.ndarray
    """(n,) trainable parameters; NaN where they could not be counted."""
    ranks: np.ndarray
    """(n,) in the ranking."""
    picked: np.ndarray
    """(n,) whether each is a trained pick."""
    left_out: Mapping[str, int]
    """how many candidates have another status than "ok", by status."""
    provisional: bool = False
    """whether the search is still at work."""

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


def scored_candidates(run: Run) -> ScoredCandidates | None:
    """Return the candidates of a run's ranking; None where there is none, or no candidate has a score."""
    rows = run.ranking
    kept = (rows["status"] == "ok").to_numpy(bool)
    if not kept.any():
        return None
    picks = {result.canonical for result in run.results if result.space == run.settings.get("space", result.space)}
    return ScoredCandidates(
        settings=run.settings,
        name=_ranking_score(run.settings),
        values=rows["score"].to_numpy()[kept],
        params=rows["params"].to_numpy(float, na_value=np.nan)[kept],
        ranks=np.flatnonzero(kept) + 1,
        picked=rows["canonical"].isin(picks).to_numpy()[kept],
        left_out=Counter(rows.loc[~kept, "status"]),
        provisional=run.provisional,
    )


def _scores(run: Run) -> dict[str, np.ndarray]:
    """Return the scores of a ranking's rows by name, (n,) each, that which ranks first.

    A single score has no column of its own name.
    """
    rows, first = run.ranking, _ranking_score(run.settings)
    others = [str(name) for name in rows if name not in (*COLUMNS, first, BENCHMARK_ACC.name)]
    others = [name for name in others if not name.endswith(_DEVIATION)]
    return {first: rows["score"].to_numpy(), **{name: rows[name].to_numpy() for name in others}}


def _ranking_score(settings: Mapping[str, Any]) -> str:
    """Return the score that ranks: the first of ``--score``, or an accuracy where candidates are trained."""
    if settings.get("evaluator", "scores") != "scores":
        return VAL_ACC.label
    return str(settings.get("score", "score")).partition(",")[0].strip()


def networks_with_accuracy(run: Run) -> NetworksWithAccuracy | None:
    """Return what is known of a run's networks: all that a table knows, else those of the largest group of trainings.

    None where no accuracy is known.
    """
    rows = run.ranking
    if BENCHMARK_ACC.name not in rows or rows[BENCHMARK_ACC.name].isna().all():
        return _of_picks(run)
    accuracies = rows[BENCHMARK_ACC.name].to_numpy()
    kept = ~np.isnan(accuracies)
    source = None if run.benchmark is None else run.benchmark.source
    return NetworksWithAccuracy(
        space=str(run.settings.get("space")),
        images=str(run.settings.get("dataset")),
        source=f"accuracy of {source or run.settings.get('benchmark') or 'a table'}",
        architectures=tuple(rows.loc[kept, "canonical"]),
        accuracies=_PERCENT * accuracies[kept],
        scores={name: values[kept] for name, values in _scores(run).items()},
        sizes={name: rows[name].to_numpy(float, na_value=np.nan)[kept] for name in _SIZES},
    )


def _of_picks(run: Run) -> NetworksWithAccuracy | None:
    group = next((group for group in run.groups if group.usable), None)
    if group is None:
        return None
    networks, settings = group.usable, group.settings
    scores = {_TRAINED: np.array([network.mean(SCORE_INIT.name) for network in networks], float)}
    # Those of the ranking, where it has any of the networks; else those at the beginning of their training.
    canonicals = run.ranking["canonical"].drop_duplicates()
    places = pd.Series(canonicals.index, canonicals).reindex([network.canonical for network in networks])
    if settings.space == run.settings.get("space") and places.notna().any():
        known, rows = places.notna().to_numpy(), places.fillna(0).to_numpy(int)
        scores = {name: np.where(known, values[rows], np.nan) for name, values in _scores(run).items()}
    test_set = "" if settings.test_set is None else f" ({settings.test_set})"
    seeds = f"mean of {len(group.seeds)} seeds" if len(group.seeds) > 1 else f"seed {group.seeds[0]}"
    return NetworksWithAccuracy(
        space=settings.space,
        images=str(run.settings.get("dataset", settings.dataset)),
        source=f"{settings.dataset} test accuracy{test_set} of trained picks, {settings.epochs} epochs, {seeds}",
        architectures=tuple(network.canonical for network in networks),
        accuracies=_PERCENT * np.array([network.mean(TEST_ACC.name) for network in networks], float),
        scores=scores,
        sizes={name: np.array([getattr(each.results[0], name) for each in networks], float) for name in _SIZES},
    )
