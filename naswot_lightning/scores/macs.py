"""Multiply-accumulates: plain size as computation."""

from naswot_lightning.scores.base import TWO_IMAGES, Measured, proxy


@proxy("macs", source="count of multiply-accumulates", cost=TWO_IMAGES)
def macs(measured: Measured) -> float:
    """Return the multiply-accumulates of convolutions and linear layers for one image of the data set's size."""
    return float(measured.macs)
