"""Searches with feedback on a table, many seeds of each: nothing is trained, and scores are looked up."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from naswot_lightning.benchmarks import Table
from naswot_lightning.benchmarks.known_space import KnownSpace
from naswot_lightning.benchmarks.targets import Target, search_target
from naswot_lightning.columns import SIZES
from naswot_lightning.config import SearchConfig, settings_affecting
from naswot_lightning.reproduce.benchmark_tables import draw_candidates, scored_space
from naswot_lightning.reproduce.settings import Scoring
from naswot_lightning.scorer import Evaluation
from naswot_lightning.searching.algorithms.base import Algorithm, Limits, Proposal, Trial, get_algorithm
from naswot_lightning.searching.algorithms.random import Listed
from naswot_lightning.searching.evaluators.table import TableEvaluator
from naswot_lightning.searching.loop import History, row_of, simulate
from naswot_lightning.searching.plan import plan_search
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow


class ScoreTable:
    """Scores of architectures by their strings, out of the rows of ``scores.jsonl``; ``fresh`` of them are new."""

    def __init__(self, rows: Sequence[ScoreRow], higher_is_better: bool = True, fresh: int = 0) -> None:
        self._rows, self.fresh = {row.architecture: row for row in rows}, fresh
        names = ["canonical", "status", "score", "seconds", *SIZES]
        values = [[getattr(row, name) for name in names] for row in self._rows.values()]
        self._frame = pd.DataFrame(values, pd.Index(self._rows), names)
        known = self._frame["score"].where(self._frame["status"] == "ok").astype(float)
        self._frame["score"] = known if higher_is_better else -known
        # An equal network is scored once; a run that meets it alone would have paid for it.
        self._frame["seconds"] = self._frame.groupby("canonical")["seconds"].transform("max")

    def values(self, name: str, architectures: Sequence[str]) -> np.ndarray:
        """Return a size of the networks by its name, the "seconds" of building and scoring each, or else the scores.

        They are (n,); of scores higher is better. NaN where there is none.
        """
        column = self._frame[name if name in (*SIZES, "seconds") else "score"]
        return column.loc[list(architectures)].to_numpy(float)

    def evaluation(self, architecture: str) -> Evaluation:
        """Return what an evaluator says of an architecture without training it."""
        row, seconds = self._rows[architecture], float(self.values("seconds", [architecture])[0])
        return Evaluation(row.scores, row.status, row.reason, None, row.n_units, row.params, row.macs, seconds)


def score_table(
    settings: Scoring, space: str, dataset: str, architectures: Sequence[str], score: str = "naswot"
) -> ScoreTable:
    """Return the scores of architectures; those that an earlier command has not computed are computed now."""
    folder = RunFolder(scores_folder(Path(settings.out), space, dataset, score), "--out")
    same = ("data_dir", "batch_size", "seed", "canonical", "device", "workers")
    given = {name: getattr(settings, name) for name in same}
    side = settings.image_size if dataset == "imagefolder" else None
    config = SearchConfig(space=space, dataset=dataset, image_size=side, score=score, run_dir=str(folder.path), **given)
    search = replace(plan_search(config), folder=folder)
    evaluator = search.evaluator
    # Unlike a search's, these scores do not depend on which architectures are asked for, and do on the mini-batch.
    names = ("space", "device", *settings_affecting(SearchConfig, "scores"))
    identity = {**{name: getattr(search.config, name) for name in names}, "probe": evaluator.fingerprint}
    listed = Listed(list(dict.fromkeys(architectures)), search.limits)
    saved = {**search.settings, **identity}
    with folder.open(saved, identity, settings.overwrite, asdict(SearchConfig())):
        # The mark of a folder that --overwrite may clear.
        folder.run_id()
        with search.loop() as loop:
            rows = loop.run(listed, listed.propose([]))
    if loop.fresh:
        print(f"{folder.path}: {loop.fresh:,} of {len(rows):,} architectures scored now, the rest before")
    return ScoreTable(list(rows), evaluator.columns[0].higher_is_better, loop.fresh)


def scores_by_name(
    settings: Scoring, space: str, dataset: str, architectures: Sequence[str], names: Sequence[str]
) -> Mapping[str, np.ndarray]:
    """Return (n,) scores of architectures by their names, higher is better; sizes come with any score."""
    scores = [name for name in names if name not in SIZES] or ["naswot"]
    tables = {name: score_table(settings, space, dataset, architectures, name) for name in scores}
    return {name: tables.get(name, tables[scores[0]]).values(name, architectures) for name in names}


def scores_folder(out: Path, space: str, dataset: str, score: str) -> Path:
    """Return where scores lie.

    >>> scores_folder(Path("runs"), "nasbench101:stem_channels=16", "cifar10", "naswot").as_posix()
    'runs/scores-nasbench101-stem_channels-16-cifar10-naswot'
    """
    return out / ("scores-" + re.sub(r"[^\w.-]+", "-", f"{space}-{dataset}-{score}"))


# Architectures of whose seconds the shortest is taken: of NAS-Bench-101, a sixth of a second.
_LOOKED_AT = 2_000
# Others are not so much quicker that seconds, not evaluations, would not end a search.
_RESERVE = 3


@dataclass(frozen=True)
class SearchBudget:
    """When a search ends: after so many evaluations, or after so many seconds of the table's trainings."""

    evaluations: int
    seconds: float | None = None

    def describe(self, target: Target) -> str:
        """Return when searches that an accuracy directs end, in words."""
        if self.seconds is not None:
            return f"{self.seconds:,.0f} simulated seconds by {target}"
        return f"{self.evaluations:,} evaluations by {target}, not the published budget of seconds"


@dataclass(frozen=True)
class TabularSearch:
    """What searches run against: a table of known accuracies, and the data set whose accuracies direct them."""

    table: Table
    dataset: str

    @cached_property
    def space(self) -> KnownSpace:
        """The architectures of the table as a space."""
        return KnownSpace(self.table)

    @cached_property
    def target(self) -> Target:
        """The accuracy that directs the searches: on validation images, after 12 epochs where the table has them."""
        return search_target(self.table, self.dataset)

    @cached_property
    def quickest(self) -> float | None:
        """Seconds of the shortest training out of many; None where the table does not know them of each."""
        target, every = self.target, self.table.architectures
        looked_at = draw_candidates(len(every), _LOOKED_AT, seed=0).tolist()
        seconds = [self.table.seconds(every[row], target.dataset, target.epochs) for row in looked_at]
        known = [each for each in seconds if each]
        return min(known) if known and len(known) == len(seconds) else None

    @cached_property
    def has_parts(self) -> bool:
        """Whether there are accuracies after a third and a ninth of the epochs, which BOHB's first rungs look at."""
        target, first = self.target, self.table.architectures[0]
        parts = {max(1, round(target.epochs / share)) for share in (3, 9)} - {target.epochs}
        asked = (target.dataset, target.split, target.epochs)
        return all(self.table.accuracy_at(first, *asked, part) is not None for part in parts)

    def budget(self, seconds: float | None, evaluations: int | None) -> SearchBudget | None:
        """Return how long searches go on: by seconds where the table has them, or by evaluations; None for neither."""
        if seconds is not None and self.quickest is not None:
            return SearchBudget(math.ceil(_RESERVE * seconds / self.quickest), seconds)
        return None if evaluations is None else SearchBudget(evaluations)

    def algorithm(self, name: str, budget: SearchBudget, seed: int) -> Algorithm:
        """Return an algorithm that searches the table, by the name of ``--algorithm``."""
        most = min(budget.evaluations, len(self.space)) if name == "random" else budget.evaluations
        constructor, options = get_algorithm(name)
        return constructor(self.space, most, seed, Limits(), **options)

    def expect_known(self, algorithm: str, budget: SearchBudget, seed: int) -> None:
        """Raise :class:`UserError` where the table does not know the trainings that an algorithm begins with."""
        for each in self.algorithm(algorithm, budget, seed).propose([])[:1]:
            if isinstance(each, Trial) and each.fidelity:
                TableLookup(self, None)(each)

    def run(self, algorithm: str, budget: SearchBudget, seeds: int, settings: Scoring, images: str) -> list[History]:
        """Return what an algorithm evaluates, one history per seed."""
        made = [self.algorithm(algorithm, budget, derived_seed(settings.seed, "search", n)) for n in range(seeds)]
        # Architectures that the algorithms look at before any training.
        first = (proposal for each in made for proposal in each.propose([]))
        scored = [each.architecture for each in first if isinstance(each, Trial) and not each.fidelity]
        space = scored_space(settings, self.table)
        scores = score_table(settings, space, images, list(dict.fromkeys(scored))) if scored else None
        evaluate = TableLookup(self, scores)
        return [simulate(each, evaluate, budget.seconds) for each in made]

    def rows_of_picks(self, histories: Sequence[History]) -> np.ndarray:
        """Return the row in the table of the best of each search; searches that found nothing are left out."""
        best = (history.best[-1] for history in histories if history.rows)
        return np.array([self.table.row(row.architecture) for row in best if row is not None], dtype=int)


class TableLookup:
    """Looks proposals up: accuracies and seconds in a table, scores of untrained networks in the table of scores."""

    def __init__(self, search: TabularSearch, scores: ScoreTable | None) -> None:
        self._space, self._scores = search.space.name, scores
        self._evaluate = TableEvaluator(search.table, search.target, "", search.space.complexity)
        # Seconds of scores alone are no seconds of a search.
        self._timed = search.quickest is not None
        self._known: dict[Proposal, ScoreRow] = {}

    def __call__(self, proposal: Proposal) -> ScoreRow:
        """Return the row of a proposal; one that is proposed again has its seconds again."""
        if proposal not in self._known:
            if self._scores is not None and isinstance(proposal, Trial) and not proposal.fidelity:
                found = self._scores.evaluation(proposal.architecture)
                found = found if self._timed else replace(found, seconds=0.0)
            else:
                found = self._evaluate(proposal)
            self._known[proposal] = row_of(self._space, proposal, proposal, found, 0, "")
        return self._known[proposal]
