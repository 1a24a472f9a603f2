"""Best so far of several search algorithms on a table, in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from naswot_lightning.analysis.trajectory import Curve, Effort, band_of
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.console import print_table
from naswot_lightning.report.figures.bars import Spread
from naswot_lightning.report.figures.curves import draw_best_so_far
from naswot_lightning.reproduce.benchmark_tables import images_of, open_table
from naswot_lightning.reproduce.figures import write_results
from naswot_lightning.reproduce.searches import TabularSearch
from naswot_lightning.reproduce.settings import AlgorithmSettings
from naswot_lightning.searching.algorithms import get_algorithm
from naswot_lightning.storage.score_rows import ScoreRow

# Of the effort, after which the terminal shows the best.
_SHARES = (0.25, 0.5, 1.0)


def reproduce_algorithms(name: str, settings: AlgorithmSettings) -> int:
    """Search with each algorithm, one search per seed; print, write and draw the best so far."""
    # Before anything is scored.
    for each in settings.algorithms:
        get_algorithm(each)
    table = open_table(settings)
    search = TabularSearch(table, settings.benchmark_dataset)
    budget = search.budget(settings.budget, settings.evaluations)
    # Evaluations have a default.
    assert budget is not None
    for each in settings.algorithms:
        search.expect_known(each, budget, settings.seed)
    shown = reported_target(table, settings.benchmark_dataset)
    accuracies = table.every_accuracy(shown.dataset, shown.split, shown.epochs)

    def accuracy(row: ScoreRow) -> float:
        return float(accuracies[table.row(row.architecture)])

    images = images_of(settings.dataset, settings.benchmark_dataset)
    curves = {
        each: [history.curve(accuracy) for history in search.run(each, budget, settings.searches, settings, images)]
        for each in settings.algorithms
    }
    title = f"{table.name}, searches by {search.target}"
    print(f"{title}, best so far by {shown}")
    _print(curves, budget.seconds)
    rows: list[dict[str, object]] = []
    kinds: tuple[Effort, ...] = ("evaluations", "seconds")
    for algorithm, found in curves.items():
        # Seconds are of no use where the table does not know them.
        for kind in kinds if all(curve.is_timed for curve in found) else kinds[:1]:
            if (band := band_of(found, kind)) is not None:
                own = {"algorithm": algorithm, "effort": kind}
                for at, mean, low, high in np.round([band.effort, band.mean, band.low, band.high], 4).T.tolist():
                    rows.append({**own, "at": at, "mean": mean, "p10": low, "p90": high, "seeds": band.seeds})
    write_results(Path(settings.out) / name, rows, lambda: draw_best_so_far(curves, f"accuracy (%), {shown}", title))
    return 0


def _print(curves: Mapping[str, Sequence[Curve]], max_seconds: float | None) -> None:
    """Print the best after a quarter, half and all of the seconds that searches end at, or else of the evaluations."""
    kind: Effort = "evaluations" if max_seconds is None else "seconds"
    ends = [curve.evaluations[-1] for each in curves.values() for curve in each if curve.evaluations]
    most = max_seconds or max(ends, default=0)
    points = [max(1, round(most * share)) for share in _SHARES]
    lines = []
    for name, each in curves.items():
        spent = Spread.of([curve.seconds[-1] for curve in each if curve.seconds])
        seconds = None if spent is None or not spent.mean else round(spent.mean)
        best = np.array([curve.best_after(kind, np.array(points)) for curve in each])
        lines.append((name, len(each), seconds, *map(Spread.of, best.T)))
    after = [f"after {point:,}{' s' if kind == 'seconds' else ''}" for point in points]
    print_table("", ("algorithm", "seeds", "seconds", *after), lines)
    what = "so many whole trainings" if kind == "evaluations" else "so many seconds"
    print(f"Percent, mean ± standard deviation over seeds, after {what}; seconds are the table's.")
