"""What several runs say beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from naswot_lightning.analysis.trajectory import Points, seed_band
from naswot_lightning.report.several.agreement import Agreement, agreements
from naswot_lightning.report.several.beside import Beside
from naswot_lightning.report.several.differences import Difference, differences
from naswot_lightning.report.several.figures_of import figures_of


@dataclass(frozen=True)
class RunsComparison:
    """Several runs.

    Attributes:
        names: of the runs.
        differences: in their settings.
        rows: of the table: a label, and a text a run; without those in which no run has anything.
        agreements: of each two of their rankings.
        trajectories: of each run, the score of each of its networks during training, the mean over its seeds.
    """

    names: tuple[str, ...]
    differences: tuple[Difference, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    agreements: tuple[Agreement, ...]
    trajectories: tuple[tuple[Points, ...], ...]


def compare_runs(runs: Sequence[Beside]) -> RunsComparison:
    """Return the comparison of runs, in their order; pure, and the same for the same files."""
    columns = [figures_of(each) for each in runs]
    rows = [(label, tuple(column[label] for column in columns)) for label in columns[0]]
    return RunsComparison(
        names=tuple(each.name for each in runs),
        differences=tuple(differences([each.run for each in runs])),
        rows=tuple((label, texts) for label, texts in rows if set(texts) != {"-"}),
        agreements=tuple(agreements(runs)),
        trajectories=tuple(_trajectories(each) for each in runs),
    )


def _trajectories(beside: Beside) -> tuple[Points, ...]:
    networks = beside.run.groups[0].by_rank if beside.run.groups else []
    points = beside.run.trajectories
    bands = (seed_band([points[result.pick].points for result in network.finished]) for network in networks)
    return tuple(band.points for band in bands if band.points)
