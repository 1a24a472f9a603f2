"""Kendall's tau of every score of a run with known accuracies, and of plain size (the paper's Figure 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from naswot_lightning.analysis.statistics import estimate, resampled_tau, with_the_worst
from naswot_lightning.report.figures import style, tau_bars
from naswot_lightning.report.known import known

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw a bar a score with its interval; networks without the score are the worst. None without accuracies."""
    found = known(run)
    if found is None or len(found.accuracies) < 2:
        return None
    accuracies = found.accuracies.tolist()
    bars = [
        tau_bars.Bar(
            table="", space=found.space, accuracy=found.source, images=found.images, score=name,
            tau=estimate(resampled_tau, with_the_worst(values).tolist(), accuracies),
        )
        for name, values in {**found.scores, **found.sizes}.items()
        if not np.isnan(values).all()
    ]  # fmt: skip
    figure = tau_bars.draw(bars)
    figure.suptitle(style.plain(f"scored on {found.images}, n = {len(accuracies):,} networks"), fontsize="medium")
    return figure
