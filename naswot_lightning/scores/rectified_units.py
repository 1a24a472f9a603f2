"""Rectified units: the scale of K_H without its codes."""

from naswot_lightning.score import NoRectifierError
from naswot_lightning.scores.base import PAPER, TWO_IMAGES, Measured, proxy


@proxy("rectified_units", source=f"{PAPER}, N_A of Eq. 1", cost=TWO_IMAGES)
def rectified_units(measured: Measured) -> float:
    """Return N_A, the rectified units per image at the probe's size.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    if measured.n_units is None:
        raise NoRectifierError("the network called no rectified linear unit: there is none to count")
    return float(measured.n_units)
