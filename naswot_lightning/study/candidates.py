"""The candidates of a search with all that was computed of them, and what is known of them after training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from naswot_lightning.analysis.evidence import ACCURACY_DECIMALS, MIN_NETWORKS, note_on_range
from naswot_lightning.analysis.results import SELECTIONS, comparable, read_results
from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.columns import MACS, PARAMS, is_cost
from naswot_lightning.console import counted
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import read_ranking
from naswot_lightning.spaces.errors import one_line
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRow, read_score_rows

# The score that counts the rectified units, which each row has.
_UNITS = "rectified_units"
_LIMITS = ("max_params", "max_macs", "max_model_mb", "max_latency_ms", "max_memory_mb", "shard")
# Evaluators whose rows are accuracies.
_OF_ACCURACIES = ("train", "table")


@dataclass(frozen=True)
class Candidates:
    """The n candidates of a run, each once."""

    folder: RunFolder
    settings: Mapping[str, Any]
    rows: tuple[ScoreRow, ...]
    """in the order in which they were finished; among the scores of each are its parameters, MACs and ReLUs."""

    @property
    def name(self) -> str:
        """The folder, as it was given."""
        return str(self.folder.path)

    def scores(self, name: str) -> np.ndarray:
        """Return one score of each candidate, (n,), NaN where there is none."""
        return np.array([row.scores.get(name) for row in self.rows], dtype=float)

    def deviations(self, name: str) -> np.ndarray:
        """Return the standard deviation of one score over repeats, (n,), NaN where there is none."""
        return np.array([(row.stds or {}).get(name) for row in self.rows], dtype=float)

    @property
    def names(self) -> list[str]:
        """The scores that a candidate has, sizes last."""
        names = dict.fromkeys(name for row in self.rows for name, value in row.scores.items() if value is not None)
        sizes = [name for name in (_UNITS, PARAMS.name, MACS.name) if name in names]
        return [*(name for name in names if name not in sizes), *sizes]

    @cached_property
    def index(self) -> dict[str, int]:
        """The number of the row of each architecture."""
        return {row.architecture: number for number, row in enumerate(self.rows)}

    @property
    def sampling(self) -> str:
        """How the candidates were found, in words, and how many different networks they are.

        Networks that are equal have one score. Where they also share an accuracy, as in NAS-Bench-101, they are one
        observation, and an interval over n candidates is too narrow.
        """
        settings, networks = self.settings, len({row.canonical for row in self.rows})
        if settings.get("architectures") is not None:
            found = f"those of {settings['architectures']}"
        elif settings.get("samples") == "all":
            found = "all of it"
        else:
            algorithm = settings.get("algorithm")
            how = "drawn at random" if algorithm == "random" else f"proposed by {algorithm}"
            found = f"{how} (seed {settings.get('seed')})"
        found += "".join(f", {name} {settings[name]}" for name in _LIMITS if settings.get(name) is not None)
        different = f" ({networks:,} different networks)" if networks < len(self.rows) else ""
        return f"{len(self.rows):,} architectures{different} of {settings.get('space')}, {found}"

    @property
    def note_on_sampling(self) -> str | None:
        """A warning where an algorithm chose the candidates by what it saw of them, else None."""
        if self.settings.get("architectures") is not None or self.settings.get("algorithm") == "random":
            return None
        return (
            f"The candidates were proposed by {self.settings.get('algorithm')}, which looks for good ones: their taus "
            "are not those of the space (restricted range); --algorithm random draws a sample of it."
        )


def read_candidates(path: str) -> Candidates:
    """Return the candidates of a run folder, which is only read; one without scores is a UserError."""
    folder = RunFolder(path)
    if not folder.config.exists() or not folder.scores.exists():
        raise UserError(f"{path}: no search in it; expected the run folder of naswot search, with its scores.jsonl")
    settings = folder.read_config()
    first: dict[str, ScoreRow] = {}
    trains = settings.get("evaluator") in _OF_ACCURACIES
    for row in read_score_rows(folder.scores):
        # The others are accuracies of a training.
        if row.fidelity == 0 or (row.fidelity is None and not trains):
            sizes = {_UNITS: row.n_units, PARAMS.name: row.params, MACS.name: row.macs}
            known = {name: None if size is None else float(size) for name, size in sizes.items()}
            first.setdefault(row.architecture, replace(row, scores={**row.scores, **known}))
    if not first:
        cure = "search with --evaluator scores" if trains else "run its search first"
        raise UserError(f"{path}: no candidate in it has a score; {cure}")
    return Candidates(folder, settings, tuple(first.values()))


@dataclass(frozen=True)
class CandidateAccuracies:
    """One accuracy of the n candidates of a run."""

    label: str
    """which accuracy it is."""
    source: str
    """where it is from."""
    values: np.ndarray
    """(n,) shares; NaN where it is not known. Of candidates that are one trained network the first has it."""
    note: str | None = None
    """a warning of what they cannot say."""
    is_accuracy: bool = True
    """False for another column of a table, of which it is not known whether high is good."""

    @property
    def count(self) -> int:
        """How many are known."""
        return int((~np.isnan(self.values)).sum())


def find_accuracies(
    candidates: Candidates, benchmark: str | None, dataset: str | None, target: str | None = None
) -> list[CandidateAccuracies]:
    """Return the accuracies of each data set of a table (or of one, by our name), or of each kind of trained picks.

    A ``target`` is another column of the table. Fewer than five candidates with an accuracy are a UserError.
    """
    found = _of_picks(candidates) if benchmark is None else _of_table(candidates, benchmark, dataset, target)
    enough = [each for each in found if each.count >= MIN_NETWORKS]
    if enough:
        return enough
    most = max((each.count for each in found), default=0)
    if benchmark is not None:
        raise UserError(
            f"--benchmark {benchmark}: has accuracies for {most} of the {len(candidates.rows)} candidates of "
            f"{candidates.name} ({candidates.settings.get('space')}); a study needs {MIN_NETWORKS}: give a table of "
            "their space"
        )
    raise UserError(
        f"{candidates.name}: {most or 'no'} comparable trained picks; a study needs {MIN_NETWORKS}: run naswot train "
        f"--run_dir {candidates.name} --select spread --top 20, or give --benchmark TABLE"
    )


def _of_table(candidates: Candidates, path: str, dataset: str | None, target: str | None) -> list[CandidateAccuracies]:
    try:
        table = open_benchmark(path)
    except UserError:
        # A CSV whose architectures do not tell their space is taken to be of the run's.
        table = open_benchmark(path, str(candidates.settings.get("space")))
    there = {known.dataset.lower().removesuffix("-valid") for known in table.known if known.split != "train"}
    rows = [table.row(row.architecture) for row in candidates.rows]
    if target is not None:
        column = table.column(target, dataset)
        values = np.array([np.nan if row is None else column.item(row) for row in rows])
        # As in a search: HW-NAS-Bench has -1 where the device cannot run a network.
        values[is_cost(target) & (values <= 0)] = np.nan
        return [CandidateAccuracies(target, table.name, values, is_accuracy=False)]
    if not there and table.further:
        raise UserError(
            f"--benchmark {path}: has no accuracies; choose a column with --target {' or '.join(table.further)}"
        )
    found = []
    for each in sorted(there) if dataset is None else [dataset]:
        reported = reported_target(table, each, exact=True)
        percent = table.every_accuracy(reported.dataset, reported.split, reported.epochs)
        shares = [np.nan if row is None else round(percent.item(row) / 100, ACCURACY_DECIMALS) for row in rows]
        found.append(CandidateAccuracies(str(reported), table.name, np.array(shares)))
    return found


def _of_picks(candidates: Candidates) -> list[CandidateAccuracies]:
    ranked = None
    if candidates.folder.ranking.exists():
        ranking = read_ranking(candidates.folder.path)
        ranked = ranking.loc[ranking["status"] == "ok", "canonical"].drop_duplicates().tolist()
    found = []
    for whole in comparable(read_results(candidates.folder.path)):
        # Networks that were chosen in different ways are no sample together: the largest part of one way.
        selection, members = next(iter(whole.samples.items()))
        group = replace(whole, networks=members)
        trained = {each.canonical: each.mean("test_acc") for each in group.networks}
        values = np.full(len(candidates.rows), np.nan)
        for number, row in enumerate(candidates.rows):
            # Of several candidates that are one trained network, the first has its accuracy: it counts once.
            accuracy = trained.pop(row.canonical, None)
            if accuracy is not None:
                values[number] = round(accuracy, ACCURACY_DECIMALS)
        own, several = group.settings, "s" if len(group.seeds) > 1 else ""
        recipe = "" if own.recipe is None else f", recipe {own.recipe}"
        seeds = f"seed{several} {', '.join(map(str, group.seeds))}"
        chosen = f" ({SELECTIONS[selection]})" if selection and len(whole.samples) > 1 else ""
        label = f"{own.space}{chosen} on {own.dataset}{recipe}, {counted(own.epochs, 'epoch')}, {seeds}"
        note = note_on_range(group.networks, ranked)
        found.append(CandidateAccuracies(one_line(label), "trained picks", values, note))
    return found
