"""The paper's figures, from the files of a run."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Points = list[tuple[float, float]]  # (epoch, score)


def read_trajectory(path: Path) -> Points:
    """Return (epoch, score) of a ``trajectory.csv``; points without a score are left out."""
    with open(path, newline="") as file:
        return [(float(row["epoch"]), float(row["score"])) for row in csv.DictReader(file) if row["score"]]


def draw_figure6(picks: Sequence[tuple[str, Points]], title: str, path: Path) -> None:
    """Draw the score during training: the first two epochs left, all epochs right (Figure 6).

    Args:
        picks: legend text and trajectory of each network.
        title: what was trained on what.
        path: a PNG file.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (early, full) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    colors: Any = plt.get_cmap("viridis")
    for position, (label, points) in enumerate(picks):
        color = colors(position / max(len(picks) - 1, 1) * 0.9)
        for axis, end in ((early, 2.0), (full, float("inf"))):
            shown = [point for point in points if point[0] <= end]
            axis.plot(*zip(*shown, strict=True), marker="o", markersize=3, color=color, label=label)
    for axis, name in ((early, "first two epochs"), (full, "all epochs")):
        axis.set(xlabel="epoch", ylabel=r"score $s = \log|K_H|$", title=name)
        axis.grid(alpha=0.3)
    early.set_xlim(-0.05, 2.05)
    full.legend(fontsize="x-small", loc="best", title="network: final test accuracy", title_fontsize="x-small")
    figure.suptitle(title, fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    figure.savefig(beside, dpi=150, format="png")
    plt.close(figure)
    beside.replace(path)
