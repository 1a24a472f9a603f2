"""Rows of Tables 1 and 2: what each method picks out of a table, run after run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from naswot_lightning.benchmarks import Table
from naswot_lightning.columns import SIZES
from naswot_lightning.reproduce.images import images_of
from naswot_lightning.reproduce.known_columns import KnownColumns
from naswot_lightning.reproduce.published import PublishedRow, PublishedTable
from naswot_lightning.reproduce.result_row import ResultRow, Spread
from naswot_lightning.reproduce.sampling import candidates, draws, picks
from naswot_lightning.reproduce.score_table import ScoreTable, score_table
from naswot_lightning.reproduce.searches import Effort, Ground, places_of_picks, run_searches
from naswot_lightning.reproduce.settings import TableSettings
from naswot_lightning.reproduce.tables import scored_space
from naswot_lightning.search.simulation import History

_QUOTED = "weights are shared between candidates: quoted as published, not run"
Places = Mapping[str, np.ndarray]  # of the picks, by the data set that they were made on


@dataclass(frozen=True)
class Picking:
    """A table of the paper, and what it is made from here.

    Attributes:
        settings: of the command.
        published: the paper's.
        table: of known accuracies.
        columns: its figures.
        on: the data set that searches look at for the accuracies of each data set, by our names.
    """

    settings: TableSettings
    published: PublishedTable
    table: Table
    columns: KnownColumns
    on: Mapping[str, str]

    def rows(self) -> list[ResultRow]:
        """Return the paper's rows with ours, and after its picks by the score ours by other scores."""
        by_score = [row for row in self.published.rows if row.kind == "naswot"]
        found = []
        for row in self.published.rows:
            found.append(self._row(row))
            if row is by_score[-1]:
                others = [name for name in self.settings.scores if name != "naswot"]
                found += [self._scored(_unpublished(name, each.samples), name) for name in others for each in by_score]
        return found

    @cached_property
    def places(self) -> np.ndarray:
        """Of the candidates in the table."""
        total = len(self.table.architectures)
        samples = total if self.settings.samples == "all" else min(self.settings.samples, total)
        return np.sort(candidates(total, samples, self.settings.seed))

    @cached_property
    def chosen(self) -> list[str]:
        """The candidates."""
        return [self.table.architectures[place] for place in self.places.tolist()]

    @cached_property
    def searched(self) -> list[str]:
        """The data sets that searches look at."""
        return list(dict.fromkeys(self.on[dataset] for dataset in self.columns.searched.values()))

    @cached_property
    def grounds(self) -> Mapping[str, Ground]:
        """What searches with feedback stand on, by data set."""
        return {dataset: Ground(self.table, dataset) for dataset in self.searched}

    def _row(self, row: PublishedRow) -> ResultRow:
        if row.kind == "weight sharing":
            return ResultRow(row.label, row.figures, {}, row.seconds, note=_QUOTED)
        if row.kind == "naswot":
            return self._scored(row, "naswot")
        if row.kind == "algorithm":
            return self._evolved(row)
        drawn = self._drawn(row.samples)
        if row.kind == "random":
            return self._made(row, dict.fromkeys(self.searched, drawn[:, 0]))
        values = self.columns.values
        best = {label: Spread.of(column[picks(column, drawn)]) for label, column in values.items()}
        ours = {label: spread for label, spread in best.items() if spread is not None}
        note = "the best of each sample in each column"
        return ResultRow(row.label, row.figures, ours, runs=len(drawn), note=note)

    def _drawn(self, samples: int) -> np.ndarray:
        return self.places[draws(len(self.places), samples, self.settings.runs, self.settings.seed)]

    def _scored(self, row: PublishedRow, score: str) -> ResultRow:
        """Return what the best by a score of N architectures reaches."""
        drawn = self._drawn(row.samples)
        found, spent = {}, []
        for dataset in self.searched:
            merits, seconds = self._merits(dataset, score)
            found[dataset] = picks(merits, drawn)
            spent.append(seconds[drawn].sum(1).mean())
        return self._made(row, found, None if score in SIZES else float(np.mean(spent)))

    def _merits(self, dataset: str, score: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the merits of all architectures of the table and the seconds of each; NaN where not candidates."""
        scored = self._scores(images_of(self.settings.dataset, dataset), "naswot" if score in SIZES else score)
        merits, seconds = np.full((2, len(self.table.architectures)), np.nan)
        merits[self.places] = scored.sizes(score, self.chosen) if score in SIZES else scored.merits(self.chosen)
        seconds[self.places] = scored.seconds(self.chosen)
        return merits, seconds

    def _scores(self, images: str, score: str) -> ScoreTable:
        key = images, score
        if key not in self._kept:
            self._kept[key] = score_table(
                self.settings, scored_space(self.settings, self.table), images, self.chosen, score
            )
        return self._kept[key]

    @cached_property
    def _kept(self) -> dict[tuple[str, str], ScoreTable]:
        return {}

    @cached_property
    def _efforts(self) -> Mapping[str, Effort] | None:
        """When searches with feedback end, by data set; None where nothing says when."""
        budget, evaluations = self.settings.budget, self.settings.evaluations
        efforts = {dataset: ground.effort(budget, evaluations) for dataset, ground in self.grounds.items()}
        known = {dataset: effort for dataset, effort in efforts.items() if effort is not None}
        return known if len(known) == len(efforts) else None

    def _evolved(self, row: PublishedRow) -> ResultRow:
        """Return what a search with feedback reaches, or why it is not run."""
        if self._efforts is None:
            note = f"left out: {self.table.name} has no seconds of training; --evaluations ends them by number instead"
            return ResultRow(row.label, row.figures, {}, row.seconds, note=note)
        histories = {dataset: self._searches(row, dataset, effort) for dataset, effort in self._efforts.items()}
        notes = [
            _ends(effort, self.grounds[dataset]) + _with_whole_trainings(row, self.grounds[dataset])[1]
            for dataset, effort in self._efforts.items()
        ]
        timed = all(effort.seconds is not None for effort in self._efforts.values())
        spent = [history.seconds[-1] for each in histories.values() for history in each if history.rows]
        found = {dataset: places_of_picks(self.table, each) for dataset, each in histories.items()}
        return self._made(row, found, float(np.mean(spent)) if timed else None, "; ".join(dict.fromkeys(notes)))

    def _searches(self, row: PublishedRow, dataset: str, effort: Effort) -> list[History]:
        ground, settings = self.grounds[dataset], self.settings
        algorithm, _ = _with_whole_trainings(row, ground)
        images = images_of(settings.dataset, dataset)
        return run_searches(ground, algorithm, effort, settings.searches, settings, images)

    def _made(
        self, row: PublishedRow, found: Places, seconds: float | None = None, note: str | None = None
    ) -> ResultRow:
        ours = {}
        for label, column in self.columns.values.items():
            spread = Spread.of(column[found[self.on[self.columns.searched[label]]]])
            if spread is not None:
                ours[label] = spread
        runs = max((len(places) for places in found.values()), default=0)
        notes = "; ".join(each for each in (row.note, note) if each) or None
        return ResultRow(row.label, row.figures, ours, row.seconds, seconds, runs, notes)


def _unpublished(score: str, samples: int) -> PublishedRow:
    label = SIZES[score].label if score in SIZES else score
    return PublishedRow(f"{label}, N = {samples}", "naswot", {}, samples)


def _with_whole_trainings(row: PublishedRow, ground: Ground) -> tuple[str, str]:
    """Return the algorithm, and how it differs where the table has no accuracies after a part of the epochs."""
    algorithm = str(row.algorithm)
    if algorithm == "bohb" and not ground.has_parts:
        return "bohb:rungs=1", "; whole trainings alone, since the table has no accuracies after a part of the epochs"
    return algorithm, ""


def _ends(effort: Effort, ground: Ground) -> str:
    if effort.seconds is not None:
        return f"{effort.seconds:,.0f} simulated seconds by {ground.target}"
    return f"{effort.evaluations:,} evaluations by {ground.target}, not the published budget of seconds"
