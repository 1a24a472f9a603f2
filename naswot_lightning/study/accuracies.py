"""What is known of the candidates after training: out of a table, or of the trained picks of their run folder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from naswot_lightning.analysis.evidence import MIN_NETWORKS, note_on_range
from naswot_lightning.analysis.results import Group, comparable, read_results
from naswot_lightning.benchmarks import Table, open_benchmark
from naswot_lightning.benchmarks.targets import Target, reported_target
from naswot_lightning.errors import UserError
from naswot_lightning.ranking import read_ranking
from naswot_lightning.study.candidates import Candidates
from spaces.errors import one_line

_DECIMALS = 6  # of a share: equal means over seeds differ in the last bits, one image in far more than these


@dataclass(frozen=True)
class Accuracies:
    """One accuracy of the candidates of a run.

    Attributes:
        label: which accuracy it is.
        source: where it is from.
        values: (n,) shares; NaN where it is not known. Of candidates that are one trained network the first has it.
        note: a warning of what they cannot say.
    """

    label: str
    source: str
    values: np.ndarray
    note: str | None = None

    @property
    def known(self) -> int:
        """How many are known."""
        return int((~np.isnan(self.values)).sum())


def find_accuracies(candidates: Candidates, benchmark: str | None, dataset: str | None) -> list[Accuracies]:
    """Return the accuracies of each data set, or of each kind of training.

    Args:
        candidates: of the run.
        benchmark: the file of a table; the trained picks without it.
        dataset: of the table, by our name; each that it has by default.

    Raises:
        UserError: fewer than five candidates have one, or a file is at fault.
    """
    found = _of_picks(candidates) if benchmark is None else _of_table(candidates, benchmark, dataset)
    enough = [each for each in found if each.known >= MIN_NETWORKS]
    if enough:
        return enough
    most = max((each.known for each in found), default=0)
    if benchmark is not None:
        raise UserError(
            f"--benchmark {benchmark}: it knows {most} of the {len(candidates.rows)} candidates of {candidates.name} "
            f"({candidates.settings.get('space')}); a study needs {MIN_NETWORKS}: give a table of their space"
        )
    raise UserError(
        f"{candidates.name}: {most or 'no'} trained picks that compare; a study needs {MIN_NETWORKS}: run train.py "
        f"--run_dir {candidates.name} --select spread --top 20, or give --benchmark TABLE"
    )


def _of_table(candidates: Candidates, path: str, dataset: str | None) -> list[Accuracies]:
    table = _open(path, str(candidates.settings.get("space")))
    there = {known.dataset.lower().removesuffix("-valid") for known in table.known if known.split != "train"}
    datasets = sorted(there) if dataset is None else [dataset]
    targets = [reported_target(table, each, exact=True) for each in datasets]
    return [Accuracies(str(target), table.name, _known(candidates, table, target)) for target in targets]


def _open(path: str, space: str) -> Table:
    """Open a table; a CSV whose architectures do not tell their space is taken to be of the run's."""
    try:
        return open_benchmark(path)
    except UserError:
        return open_benchmark(path, space)


def _known(candidates: Candidates, table: Table, target: Target) -> np.ndarray:
    rows = [table.row(row.architecture) for row in candidates.rows]
    percent = table.every_accuracy(target.dataset, target.split, target.epochs)
    return np.array([np.nan if row is None else round(percent.item(row) / 100, _DECIMALS) for row in rows])


def _of_picks(candidates: Candidates) -> list[Accuracies]:
    ranked = _ranked(candidates)
    return [_of_group(candidates, group, ranked) for group in comparable(read_results(candidates.folder.path))]


def _of_group(candidates: Candidates, group: Group, ranked: list[str] | None) -> Accuracies:
    trained = {each.canonical: each.mean("test_acc") for each in group.networks}
    values = np.full(len(candidates.rows), np.nan)
    for place, row in enumerate(candidates.rows):
        accuracy = trained.pop(row.canonical, None)
        if accuracy is not None:
            values[place] = round(accuracy, _DECIMALS)
    return Accuracies(_label(group), "trained picks", values, note_on_range(group.networks, ranked))


def _label(group: Group) -> str:
    settings = group.settings
    recipe = "" if settings.recipe is None else f", recipe {settings.recipe}"
    seeds = f"seed{'s' if len(group.seeds) > 1 else ''} {', '.join(map(str, group.seeds))}"
    return one_line(f"{settings.space} on {settings.dataset}{recipe}, {settings.epochs} epochs, {seeds}")


def _ranked(candidates: Candidates) -> list[str] | None:
    """Return the canonical names of the ranking's networks, best first; None where there is no ranking."""
    if not candidates.folder.ranking.exists():
        return None
    ranking = read_ranking(candidates.folder.path)
    return ranking.loc[ranking["status"] == "ok", "canonical"].drop_duplicates().tolist()
