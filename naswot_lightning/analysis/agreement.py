"""How far a score is plain size."""

from __future__ import annotations

from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.columns import SIZES
from naswot_lightning.ranking import RankedRow
from naswot_lightning.storage.columnar import Records


def agreement_with_size(ranking: Records[RankedRow]) -> dict[str, float | None]:
    """Return Kendall's tau between the score and parameters, MACs and rectified units, over scored rows."""
    scores = ranking.field("score").values()
    scored = ranking.field("status").map(lambda status: status == "ok") == 1
    taus = {}
    for size in SIZES:
        counts = ranking.field(size).values()
        both = scored & (counts >= 0)
        taus[size] = kendall_tau(scores[both].tolist(), counts[both].tolist())
    return taus
