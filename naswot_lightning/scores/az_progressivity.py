"""Whether every cell adds to the spread of the feature maps."""

import math
from itertools import pairwise

from naswot_lightning.scores.base import AZ_NAS, FORWARD, Measured, proxy
from naswot_lightning.scores.spectra import SpectralEntropies


@proxy("az_progressivity", source=AZ_NAS, cost=FORWARD, exact_sums=False, watches=(SpectralEntropies,))
def az_progressivity(measured: Measured) -> float:
    """Return the smallest increase of the spectrum's entropy from one feature map to the next.

    Maps and entropies are those of ``az_expressivity``.

    Returns:
        The increase, mostly negative; -inf where a map is constant or there are fewer than two, nan where one is not
        finite.
    """
    entropies = measured.watched(SpectralEntropies).values
    if any(math.isnan(entropy) for entropy in entropies):
        return math.nan
    if len(entropies) < 2 or -math.inf in entropies:
        return -math.inf
    return min(after - before for before, after in pairwise(entropies))
