"""Best so far of several search algorithms on a table, in one picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from naswot_lightning.analysis.best_so_far import Curve, Effort, band_of
from naswot_lightning.benchmarks import Table
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.best_so_far import draw
from naswot_lightning.report.table import print_table
from naswot_lightning.reproduce.images import images_of
from naswot_lightning.reproduce.result_row import Spread
from naswot_lightning.reproduce.searches import Ground, run_searches
from naswot_lightning.reproduce.settings import AlgorithmSettings
from naswot_lightning.reproduce.tables import open_table
from naswot_lightning.search.algorithms import get_algorithm
from naswot_lightning.search.simulation import History
from naswot_lightning.storage.files import write_csv
from naswot_lightning.storage.score_rows import ScoreRow

_CSV = ("algorithm", "effort", "at", "mean", "p10", "p90", "seeds")
_SHARES = (0.25, 0.5, 1.0)  # of the evaluations, after which the terminal shows the best


@dataclass(frozen=True)
class Values:
    """What the best so far is shown by: (n,) percent of all architectures of a table."""

    table: Table
    accuracies: np.ndarray

    def __call__(self, row: ScoreRow) -> float:
        """Return the accuracy of a row's architecture."""
        return float(self.accuracies[self.table.index.row(row.architecture)])


def reproduce(settings: AlgorithmSettings) -> int:
    """Search with each algorithm, one search a seed; print, write and draw the best so far.

    Raises:
        UserError: an algorithm, a data set or the table is at fault.
    """
    for name in settings.algorithms:
        get_algorithm(name)  # a name that is at fault is said before the first search
    table = open_table(settings)
    ground = Ground(table, settings.benchmark_dataset)
    effort = ground.effort(settings.budget, settings.evaluations)
    assert effort is not None  # evaluations have a default
    images = images_of(settings.dataset, settings.benchmark_dataset)
    found = {
        name: run_searches(ground, name, effort, settings.searches, settings, images) for name in settings.algorithms
    }
    shown = reported_target(table, settings.benchmark_dataset)
    values = Values(table, table.every_accuracy(shown.dataset, shown.split, shown.epochs))
    curves = {name: [history.curve(values) for history in histories] for name, histories in found.items()}
    title = f"{table.name}, searches by {ground.target}"
    _print(f"{title}, best so far by {shown}", found, curves)
    path = Path(settings.out) / "algorithms"
    write_csv(path.with_suffix(".csv"), _band_rows(curves), _CSV)
    print(path.with_suffix(".csv"))
    if (figure := draw(curves, f"accuracy (%), {shown}", title)) is not None:
        save_figure(figure, path.with_suffix(".png"))
        print(path.with_suffix(".png"))
    return 0


def _print(title: str, found: Mapping[str, Sequence[History]], curves: Mapping[str, Sequence[Curve]]) -> None:
    most = max((curve.evaluations[-1] for each in curves.values() for curve in each if curve.evaluations), default=0)
    places = [max(1, round(most * share)) for share in _SHARES]
    columns = ("algorithm", "seeds", "seconds", *(f"after {place}" for place in places))
    print(title)
    print_table("", columns, (_line(name, found[name], curves[name], places) for name in curves))
    print("Percent, mean ± standard deviation over seeds, after so many whole trainings; seconds are the table's.")


def _line(name: str, histories: Sequence[History], curves: Sequence[Curve], places: Sequence[int]) -> list[object]:
    seconds = Spread.of([history.seconds[-1] for history in histories if history.rows])
    bests = [Spread.of([value for curve in curves if (value := _at(curve, place)) is not None]) for place in places]
    return [name, len(curves), None if seconds is None or not seconds.mean else round(seconds.mean), *bests]


def _at(curve: Curve, evaluations: int) -> float | None:
    place = int(np.searchsorted(curve.evaluations, evaluations, side="right")) - 1
    return None if place < 0 else curve.values[place]


def _band_rows(curves: Mapping[str, Sequence[Curve]]) -> Iterator[dict[str, object]]:
    kinds: tuple[Effort, ...] = ("evaluations", "seconds")
    for name, each in curves.items():
        for kind in kinds:
            band = band_of(each, kind) if kind == "evaluations" or all(curve.is_timed for curve in each) else None
            if band is not None:
                for at, mean, low, high in zip(band.effort, band.mean, band.low, band.high, strict=True):
                    yield dict(zip(_CSV, (name, kind, *map(_rounded, (at, mean, low, high)), band.seeds), strict=True))


def _rounded(value: float) -> float:
    return round(float(value), 4)
