"""Draw how fast NSGA-II and random search find the front of accuracy and latency: three devices of HW-NAS-Bench.

``python docs/scripts/draw_hypervolume.py ACCURACIES.csv LATENCIES.csv.gz FIGURE.png COLUMN [COLUMN ...]``: accuracies
of cells of NAS-Bench-201, those of unknown cells being the mean of the nearest known ones, and columns of latencies.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from naswot_lightning.analysis.pareto import Objective
from naswot_lightning.benchmarks import open_benchmark
from naswot_lightning.report.figures import save_figure
from naswot_lightning.scorer import Evaluation
from naswot_lightning.searching.algorithms.base import Limits, get_algorithm
from naswot_lightning.searching.loop import row_of, simulate
from naswot_lightning.spaces import get_space

SPACE = get_space("nasbench201")
OBJECTIVES = (Objective("val_acc", True), Objective("latency_ms", False))
SEEDS, EVALUATIONS, TOLD = 20, 300, (50, 100, 200, 300)
COLORS = {"nsga2": "#b2182b", "random": "#4d4d4d"}


def hypervolume(costs: np.ndarray, reference: Sequence[float]) -> float:
    """Return the area that (n, 2) points dominate, as far as a reference point that is worse than all of interest.

    >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0], [2.5, 2.5]]), (3.0, 3.0))
    3.0
    """
    inside = costs[(costs < np.asarray(reference)).all(1)]
    inside = inside[np.lexsort(inside.T[::-1])]
    widths = np.diff(np.append(inside[:, 0], reference[0]))
    return float((widths * (reference[1] - np.minimum.accumulate(inside[:, 1]))).sum())


def read_accuracies(path: str) -> dict[str, float]:
    """Return the validation accuracy of every cell after 200 epochs, CIFAR-10."""
    table = open_benchmark(path)
    known = np.array([SPACE.decisions(each) for each in table.architectures])
    values = table.every_accuracy("cifar10-valid", "x-valid", 200)
    distances = {cell: (known != np.array(SPACE.decisions(cell))).sum(1) for cell in SPACE}
    return {cell: float(values[distance == distance.min()].mean()) for cell, distance in distances.items()}


def search(name: str, seed: int, accuracies: dict[str, float], latencies: dict[str, float]) -> np.ndarray:
    """Return the costs of what an algorithm evaluates, in its order: latency, and accuracy with a minus."""
    constructor, options = get_algorithm(name)
    if name != "random":
        options["objectives"] = OBJECTIVES
    limits = Limits({"latency_ms": np.inf}, {"latency_ms": latencies.get})
    algorithm = constructor(SPACE, EVALUATIONS, seed, limits, **options)

    def look_up(cell: str):
        return row_of(SPACE.name, cell, cell, Evaluation({"val_acc": accuracies[cell]}, "ok"), seed, "table")

    rows = simulate(algorithm, look_up).rows
    return np.array([[latencies[row.architecture], -accuracies[row.architecture]] for row in rows])


def main(accuracies_path: str, latencies_path: str, output: str, *columns: str) -> None:
    """Draw a panel per column; print the numbers."""
    accuracies, table = read_accuracies(accuracies_path), open_benchmark(latencies_path)
    figure = Figure(figsize=(3.2 * len(columns), 2.8), layout="constrained")
    for axis, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        values = table.column(column)
        latencies = {cell: value for cell in SPACE if (value := values.item(table.row(cell))) > 0}
        points = np.array([[latencies[cell], -accuracies[cell]] for cell in latencies])
        # Worse than all of interest: the highest latency, and the accuracy that three quarters of the cells exceed.
        worst = points[:, 0].max(), np.quantile(points[:, 1], 0.75)
        whole = hypervolume(points, worst)
        for name, color in COLORS.items():
            found = [search(name, seed, accuracies, latencies) for seed in range(SEEDS)]
            curves = np.array([[hypervolume(e[:n], worst) / whole for n in range(1, len(e) + 1)] for e in found])
            mean, deviation = curves.mean(0), curves.std(0, ddof=1)
            axis.plot(range(1, EVALUATIONS + 1), mean, color=color, label=name)
            axis.fill_between(range(1, EVALUATIONS + 1), mean - deviation, mean + deviation, color=color, alpha=0.2)
            told = ", ".join(f"{mean[n - 1]:.3f} ± {deviation[n - 1]:.3f}" for n in TOLD)
            print(f"{column}, {len(latencies):,} cells, {name}: {told} after {TOLD} evaluations")
        axis.set(xlabel="evaluations", ylabel="hypervolume (share)", ylim=(0.4, 1.0))
        axis.set_title(column, fontsize="medium")
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right", fontsize="small")
    save_figure(figure, Path(output))


if __name__ == "__main__":
    main(*sys.argv[1:])
