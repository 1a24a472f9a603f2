"""The score of the paper, less what the number of rectified units alone explains."""

import math

from naswot_lightning.scores.base import PAPER, Measured, proxy


@proxy("nwot_normalised", source=f"{PAPER}, Eq. 2 of K_H / N_A", cost="one forward pass", exact_sums=False)
def nwot_normalised(measured: Measured) -> float:
    """Return log|K_H| - N log N_A = log|K_H / N_A|, for N images: at most 0 (Hadamard's inequality).

    K_H / N_A has ones on its diagonal, and off it the share of the units whose codes agree. With codes drawn at random
    that share is 1/2 and the score -N log 2 + log(N + 1), whatever N_A: what is left measures how far the codes of
    different images are from that, not how many units there are.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    logdet = measured.kernel.logdet()
    if not math.isfinite(logdet):
        return logdet
    return logdet - len(measured.kernel.matrix) * math.log(measured.kernel.n_units)
