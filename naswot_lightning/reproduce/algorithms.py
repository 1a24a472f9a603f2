"""Best so far of several search algorithms on a table, in one picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from naswot_lightning.analysis.trajectory import Curve, band_of
from naswot_lightning.analysis.trajectory import Effort as EffortKind
from naswot_lightning.benchmarks import Table
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.console import print_table
from naswot_lightning.report.figures import save_figure
from naswot_lightning.report.figures.best_so_far import draw
from naswot_lightning.reproduce.images import images_of
from naswot_lightning.reproduce.oracles import ORACLES, expect_oracles, run_oracle
from naswot_lightning.reproduce.result_row import Spread
from naswot_lightning.reproduce.searches import Effort, Ground, expect_known, run_searches
from naswot_lightning.reproduce.settings import AlgorithmSettings
from naswot_lightning.reproduce.tables import open_table
from naswot_lightning.search.algorithms import get_algorithm
from naswot_lightning.search.simulation import History
from naswot_lightning.storage.files import write_csv
from naswot_lightning.storage.score_rows import ScoreRow

_CSV = ("algorithm", "effort", "at", "mean", "p10", "p90", "seeds")
_SHARES = (0.25, 0.5, 1.0)  # of the effort, after which the terminal shows the best


@dataclass(frozen=True)
class Values:
    """What the best so far is shown by: (n,) percent of all architectures of a table."""

    table: Table
    accuracies: np.ndarray

    def __call__(self, row: ScoreRow) -> float:
        """Return the accuracy of a row's architecture."""
        return float(self.accuracies[self.table.row(row.architecture)])


def reproduce(settings: AlgorithmSettings) -> int:
    """Search with each algorithm, one search a seed; print, write and draw the best so far.

    Raises:
        UserError: an algorithm, a data set or the table is at fault, or oracles are asked for and not there.
    """
    for name in settings.algorithms:
        get_algorithm(name)  # a name that is at fault is said before the first search
    table = open_table(settings)
    ground = Ground(table, settings.benchmark_dataset)
    if settings.oracles:
        expect_oracles(ground)
    effort = ground.effort(settings.budget, settings.evaluations)
    assert effort is not None  # evaluations have a default
    for name in settings.algorithms:
        expect_known(ground, name, effort, settings.seed)  # is said before others are scored
    found = _searches(ground, effort, settings)
    shown = reported_target(table, settings.benchmark_dataset)
    values = Values(table, table.every_accuracy(shown.dataset, shown.split, shown.epochs))
    curves = {name: [history.curve(values) for history in histories] for name, histories in found.items()}
    title = f"{table.name}, searches by {ground.target}"
    _print(f"{title}, best so far by {shown}", found, curves, effort)
    path = Path(settings.out) / "algorithms"
    write_csv(path.with_suffix(".csv"), _band_rows(curves), _CSV)
    print(path.with_suffix(".csv"))
    if (figure := draw(curves, f"accuracy (%), {shown}", title, _beside(settings))) is not None:
        save_figure(figure, path.with_suffix(".png"))
        print(path.with_suffix(".png"))
    return 0


def _searches(ground: Ground, effort: Effort, settings: AlgorithmSettings) -> dict[str, list[History]]:
    """Return what each algorithm evaluates, ours first, one history a seed."""
    images, seeds = images_of(settings.dataset, settings.benchmark_dataset), settings.searches
    ours = {name: run_searches(ground, name, effort, seeds, settings, images) for name in settings.algorithms}
    oracles = ORACLES if settings.oracles else ()
    return ours | {each.label: run_oracle(ground, each, effort, seeds, settings.seed) for each in oracles}


def _beside(settings: AlgorithmSettings) -> dict[str, str]:
    """Return which of our searches each oracle is drawn beside; none where that algorithm is not asked for."""
    ours = {name.partition(":")[0]: name for name in reversed(settings.algorithms)}
    return {oracle.label: ours.get(oracle.beside, "") for oracle in ORACLES}


def _print(
    title: str, found: Mapping[str, Sequence[History]], curves: Mapping[str, Sequence[Curve]], effort: Effort
) -> None:
    """Print the best after a quarter, half and all of the seconds that searches end at, or else of the evaluations."""
    kind: EffortKind = "evaluations" if effort.seconds is None else "seconds"
    ends = [curve.evaluations[-1] for each in curves.values() for curve in each if curve.evaluations]
    most = effort.seconds or max(ends, default=0)
    places = [max(1, round(most * share)) for share in _SHARES]
    after = [f"after {place:,}{' s' if kind == 'seconds' else ''}" for place in places]
    columns = ("algorithm", "seeds", "seconds", *after)
    print(title)
    print_table("", columns, (_line(name, found[name], curves[name], kind, places) for name in curves))
    what = "so many whole trainings" if kind == "evaluations" else "so many seconds"
    print(f"Percent, mean ± standard deviation over seeds, after {what}; seconds are the table's.")


def _line(
    name: str, histories: Sequence[History], curves: Sequence[Curve], kind: EffortKind, places: Sequence[int]
) -> list[object]:
    seconds = Spread.of([history.seconds[-1] for history in histories if history.rows])
    found = [[value for curve in curves if (value := _at(curve, kind, place)) is not None] for place in places]
    return [
        name,
        len(curves),
        None if seconds is None or not seconds.mean else round(seconds.mean),
        *map(Spread.of, found),
    ]


def _at(curve: Curve, kind: EffortKind, effort: int) -> float | None:
    place = int(np.searchsorted(curve.effort(kind), effort, side="right")) - 1
    return None if place < 0 else curve.values[place]


def _band_rows(curves: Mapping[str, Sequence[Curve]]) -> Iterator[dict[str, object]]:
    kinds: tuple[EffortKind, ...] = ("evaluations", "seconds")
    for name, each in curves.items():
        for kind in kinds:
            band = band_of(each, kind) if kind == "evaluations" or all(curve.is_timed for curve in each) else None
            if band is not None:
                for at, mean, low, high in zip(band.effort, band.mean, band.low, band.high, strict=True):
                    yield dict(zip(_CSV, (name, kind, *map(_rounded, (at, mean, low, high)), band.seeds), strict=True))


def _rounded(value: float) -> float:
    return round(float(value), 4)
