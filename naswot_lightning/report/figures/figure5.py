"""What the score of a network depends on besides the network, for ten networks of a run (the paper's Figure 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from naswot_lightning.report.figures import score_boxes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from naswot_lightning.report.findings import Findings
    from naswot_lightning.report.run import Run


def draw(run: Run, findings: Findings) -> Figure | None:
    """Draw the scores that are kept so far; None where none was measured."""
    kept = run.ablation
    if kept is None or not kept.samples:
        return None
    own, count = kept.header, 1 + max(sample.number for sample in kept.samples)
    title = (
        f"{own.space}, n = {len(own.networks)} networks, {count} scores each way, {own.batch_size} images of "
        f"{own.images}, seeds {own.seed} to {own.seed + count - 1}; {own.source}"
    )
    return score_boxes.draw(own.networks, kept.samples, title)
