"""How far a score is plain size."""

from __future__ import annotations

import numpy as np
import pandas as pd

from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.columns import SIZES


def agreement_with_size(ranking: pd.DataFrame) -> dict[str, float | None]:
    """Return Kendall's tau between the score and parameters, MACs and rectified units, over scored rows."""
    scored = ranking[ranking["status"] == "ok"]
    scores = scored["score"].to_numpy()
    taus = {}
    for size in SIZES:
        counts = scored[size].to_numpy(float, na_value=np.nan)
        counted = ~np.isnan(counts)
        taus[size] = kendall_tau(scores[counted].tolist(), counts[counted].tolist())
    return taus
