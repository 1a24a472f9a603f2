"""The score of the paper."""

from naswot_lightning.scores.base import PAPER, Measured, proxy


@proxy("naswot", source=f"{PAPER}, Eq. 2", cost="one forward pass", exact_sums=False)
def naswot(measured: Measured) -> float:
    """Return log|K_H| (Eq. 2); codes are bits and their distances integers, exact by any number of threads.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return measured.kernel.logdet()
