"""Tables 1 and 2 of the paper: what each method picks out of a benchmark's table, run after run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from naswot_lightning.benchmarks import Table
from naswot_lightning.columns import SIZES
from naswot_lightning.console import print_table
from naswot_lightning.errors import UserError
from naswot_lightning.report.figures import write_results
from naswot_lightning.report.figures.bars import PublishedRow, ResultRow, Spread, draw_published
from naswot_lightning.reproduce.benchmark_tables import (
    KnownAccuracies,
    PublishedTable,
    best_of_all_trainings,
    draw_candidates,
    images_of,
    open_table,
    published_table,
    scored_space,
    space_of_table,
)
from naswot_lightning.reproduce.searches import ScoreTable, TabularSearch, score_table
from naswot_lightning.reproduce.settings import CellSettings, TableSettings
from naswot_lightning.seeds import derived_seed

_TABLE1 = "CIFAR-10 test"
# Ours alone: what a network of the longest recipe can be expected to reach.
_MEAN = "mean of trainings"
_TABLE2 = {"nasbench201": "table2a", "nats_size": "table2b"}
# Columns of Table 2 with the data set that they belong to by our name, and by the benchmark's name with the split.
# Validation accuracies of CIFAR-10 are of networks that were trained on half of its training images, test accuracies
# of such that were trained on all (Dong & Yang 2020, Table 5).
_COLUMNS = {
    "C10 val": ("cifar10", "cifar10-valid", "x-valid"),
    "C10 test": ("cifar10", "cifar10", "ori-test"),
    "C100 val": ("cifar100", "cifar100", "x-valid"),
    "C100 test": ("cifar100", "cifar100", "x-test"),
    "IN16 val": ("imagenet16-120", "ImageNet16-120", "x-valid"),
    "IN16 test": ("imagenet16-120", "ImageNet16-120", "x-test"),
}


def reproduce_table1(name: str, settings: CellSettings) -> int:
    """Print, write and draw what searches of NAS-Bench-101 pick."""
    table = open_table(settings, ("nasbench101",))
    if not any((known.dataset, known.split) == ("cifar10", "test") for known in table.known):
        wanted = "test accuracies of cifar10, which Table 1 is of"
        raise UserError(f"--benchmark {settings.benchmark[0]}: it knows no {wanted}")
    columns = {
        _TABLE1: KnownAccuracies("cifar10", _TABLE1, best_of_all_trainings(table)),
        _MEAN: KnownAccuracies("cifar10", _MEAN, table.every_accuracy("cifar10", "test")),
    }
    target = f"{_TABLE1}: the best test accuracy of each cell over all recipes and repeats, as in the published script"
    _report(PaperTable(settings, published_table(name), table, columns, False), Path(settings.out) / name, [target])
    return 0


def reproduce_table2(_: str, settings: TableSettings) -> int:
    """Print, write and draw what searches of NAS-Bench-201 (part a) or NATS-Bench's size space (part b) pick."""
    table = open_table(settings, _TABLE2)
    name, there = _TABLE2[space_of_table(table)], {(known.dataset, known.split) for known in table.known}
    columns, missing = {}, []
    for label, (dataset, own_name, split) in _COLUMNS.items():
        if (own_name, split) in there:
            columns[label] = KnownAccuracies(dataset, label, table.every_accuracy(own_name, split))
        else:
            missing.append(f"{label} ({own_name} {split})")
    if not columns:
        raise UserError(f"--benchmark {settings.benchmark[0]}: it knows none of the columns {', '.join(missing)}")
    paper = PaperTable(settings, published_table(name), table, columns, name == "table2b")
    left_out = [f"Left out, because {table.name} does not know them: {', '.join(missing)}"] if missing else []
    _report(paper, Path(settings.out) / name, left_out)
    return 0


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper, and what it is made from here."""

    settings: TableSettings
    published: PublishedTable
    table: Table
    columns: Mapping[str, KnownAccuracies]
    each_dataset: bool
    """searches look at the data set that is reported, as in part (b) of Table 2; in place of CIFAR-10 alone."""
    _score_tables: dict[tuple[str, str], ScoreTable] = field(default_factory=dict)

    def rows(self) -> list[ResultRow]:
        """Return the paper's rows with ours, and after its picks by the score ours by other scores."""
        by_score, found = [row for row in self.published.rows if row.kind == "naswot"], []
        for row in self.published.rows:
            if row.kind == "weight sharing":
                note = "weights are shared between candidates: quoted as published, not run"
                found.append(ResultRow(row, note=note))
            elif row.kind == "naswot":
                found.append(self._scored(row, "naswot"))
            elif row.kind == "algorithm":
                found.append(self._searched_by_algorithm(row))
            elif row.kind == "random":
                found.append(self._picked(row, dict.fromkeys(self.searches, self._drawn(row.samples)[:, 0])))
            else:
                drawn = self._drawn(row.samples)
                best = {label: each.values[pick_best(each.values, drawn)] for label, each in self.columns.items()}
                note = "the best of each sample in each column"
                found.append(ResultRow(row, _spreads(best), runs=len(drawn), note=note))
            if row is by_score[-1]:
                for name in self.settings.scores:
                    label = SIZES[name].label if name in SIZES else name
                    for each in by_score if name != "naswot" else []:
                        own = PublishedRow(f"{label}, N = {each.samples}", "naswot", samples=each.samples)
                        found.append(self._scored(own, name))
        return found

    @cached_property
    def candidates(self) -> np.ndarray:
        """Rows of the candidates in the benchmark's table."""
        total = len(self.table.architectures)
        samples = total if self.settings.samples == "all" else min(self.settings.samples, total)
        return np.sort(draw_candidates(total, samples, self.settings.seed))

    @cached_property
    def searches(self) -> Mapping[str, TabularSearch]:
        """The searches with feedback, by the data set that they look at."""
        datasets = dict.fromkeys(self._searched(column.dataset) for column in self.columns.values())
        return {dataset: TabularSearch(self.table, dataset) for dataset in datasets}

    def _searched(self, dataset: str) -> str:
        return dataset if self.each_dataset else "cifar10"

    def _drawn(self, samples: int) -> np.ndarray:
        """Return (runs, samples) rows of the table."""
        settings = self.settings
        return self.candidates[draw_samples(len(self.candidates), samples, settings.runs, settings.seed)]

    def _scored(self, row: PublishedRow, score: str) -> ResultRow:
        """Return what the best by a score of N architectures reaches."""
        drawn = self._drawn(row.samples)
        chosen = [self.table.architectures[each] for each in self.candidates.tolist()]
        picked, spent = {}, []
        for dataset in self.searches:
            images, name = images_of(self.settings.dataset, dataset), "naswot" if score in SIZES else score
            if (images, name) not in self._score_tables:
                space = scored_space(self.settings, self.table)
                self._score_tables[images, name] = score_table(self.settings, space, images, chosen, name)
            scored = self._score_tables[images, name]
            # Over the whole table, of whose rows samples are drawn: NaN where an architecture is no candidate.
            scores, seconds = np.full((2, len(self.table.architectures)), np.nan)
            scores[self.candidates] = scored.values(score, chosen)
            seconds[self.candidates] = scored.values("seconds", chosen)
            picked[dataset] = pick_best(scores, drawn)
            spent.append(seconds[drawn].sum(1).mean())
        return self._picked(row, picked, None if score in SIZES else float(np.mean(spent)))

    def _searched_by_algorithm(self, row: PublishedRow) -> ResultRow:
        """Return what a search with feedback reaches, or why it is not run."""
        settings, notes, picked, spent = self.settings, [], {}, []
        budgets = {name: each.budget(settings.budget, settings.evaluations) for name, each in self.searches.items()}
        known = {dataset: budget for dataset, budget in budgets.items() if budget is not None}
        if len(known) < len(budgets):
            note = f"left out: {self.table.name} has no seconds of training; --evaluations ends them by number instead"
            return ResultRow(row, note=note)
        for dataset, budget in known.items():
            search = self.searches[dataset]
            algorithm, note = str(row.algorithm), budget.describe(search.target)
            if algorithm == "bohb" and not search.has_parts:
                algorithm = "bohb:rungs=1"
                note += "; whole trainings alone, since the table has no accuracies after a part of the epochs"
            images = images_of(settings.dataset, dataset)
            histories = search.run(algorithm, budget, settings.searches, settings, images)
            notes.append(note)
            picked[dataset] = search.rows_of_picks(histories)
            spent += [history.seconds[-1] for history in histories if history.rows]
        # Simulated seconds; there are none where evaluations end the searches.
        timed = all(budget.seconds is not None for budget in known.values())
        return self._picked(row, picked, float(np.mean(spent)) if timed else None, "; ".join(dict.fromkeys(notes)))

    def _picked(
        self, row: PublishedRow, picked: Mapping[str, np.ndarray], seconds: float | None = None, note: str | None = None
    ) -> ResultRow:
        """Return the accuracies of picks, given as rows of the table by the data set that they were made on."""
        values = {label: each.values[picked[self._searched(each.dataset)]] for label, each in self.columns.items()}
        runs = max((len(rows) for rows in picked.values()), default=0)
        notes = "; ".join(each for each in (row.note, note) if each) or None
        return ResultRow(row, _spreads(values), seconds, runs, notes)


def _spreads(values: Mapping[str, np.ndarray]) -> dict[str, Spread]:
    found = {label: Spread.of(each) for label, each in values.items()}
    return {label: spread for label, spread in found.items() if spread is not None}


def draw_samples(total: int, samples: int, runs: int, seed: int) -> np.ndarray:
    """Return (runs, samples) indices, each drawn anew: with replacement, as the published script draws them."""
    return np.random.default_rng(derived_seed(seed, "runs", samples)).integers(0, total, (runs, samples))


def pick_best(scores: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the best index of each of (runs, samples), the first of equal ones (Algorithm 1); NaN is the worst score.

    >>> pick_best(np.array([1.0, np.nan, 3.0]), np.array([[0, 1], [1, 2], [1, 1]]))
    array([0, 2, 1])
    """
    values = np.where(np.isnan(scores), -np.inf, scores)[drawn]
    best: np.ndarray = drawn[np.arange(len(drawn)), values.argmax(1)]
    return best


def _report(paper: PaperTable, path: Path, remarks: Sequence[str]) -> None:
    """Print the rows, and write ``path`` with the endings .csv and .png."""
    rows, columns, settings = paper.rows(), list(paper.columns), paper.settings
    total, count = len(paper.table.architectures), len(paper.candidates)
    candidates = f"{total:,} architectures" if count == total else f"{count:,} of {total:,} architectures"
    title = f"{paper.published.source}, and here: {paper.table.name}, {candidates}"
    print(title)
    lines: list[list[Any]] = []
    notes: dict[str, dict[str, None]] = {}
    for row in rows:
        paper_row = row.paper
        if paper_row.values:
            values = (paper_row.values.get(column) for column in columns)
            lines.append([paper_row.label, "published", paper_row.seconds, None, *values])
        if row.ours:
            # Beneath the published line, which has the label.
            label = "" if paper_row.values else paper_row.label
            lines.append([label, "here", row.seconds, row.runs, *(row.ours.get(column) for column in columns)])
        if row.note:
            # The label without its N.
            notes.setdefault(row.note, {})[paper_row.label.partition(", N = ")[0]] = None
    print_table("", ("method", "", "seconds", "runs", *columns), lines)
    for note, methods in notes.items():
        print(f"{', '.join(methods)}: {note}")
    dead = "without dead branches" if settings.canonical else "with dead branches, as in the paper"
    images = f"{settings.batch_size} images of {', '.join(settings.dataset)}, seed {settings.seed}"
    print(
        *remarks,
        "Percent, mean ± standard deviation over runs. N architectures are drawn with replacement, as the published "
        "script draws them; of equal scores the first counts.",
        f"Scores: {images}, networks {dead}. "
        "Seconds of NASWOT are those of building and scoring N networks, one after the other.",
        sep="\n",
    )
    every = list(paper.published.columns) + [label for label in columns if label not in paper.published.columns]
    records = []
    for row, column in itertools.product(rows, every):
        published, ours = row.paper.values.get(column), row.ours.get(column)
        if published or ours:
            records.append(
                {"row": row.paper.label, "column": column, "published_mean": published and published.mean,
                 "published_std": published and published.std, "mean": ours and round(ours.mean, 4),
                 "std": ours and ours.std and round(ours.std, 4), "runs": row.runs if ours else None,
                 "published_seconds": row.paper.seconds, "seconds": row.seconds and round(row.seconds, 3),
                 "note": row.note}
            )  # fmt: skip
    write_results(path, records, lambda: draw_published(rows, columns, title))
