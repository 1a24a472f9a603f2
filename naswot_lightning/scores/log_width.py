"""The widths of the convolutions: plain size that does not square them."""

import math

from naswot_lightning.scores.base import TWO_IMAGES, Measured, proxy


@proxy("log_width", source="sum of log(output channels) of convolutions", cost=TWO_IMAGES)
def log_width(measured: Measured) -> float:
    """Return the sum of log(output channels) over the convolutions that a forward pass calls.

    Where the number of convolutions is fixed, as in the size space of NATS-Bench, it ranks as the product of the
    widths, each as often as it occurs; elsewhere it grows with the number of convolutions. 0 without convolutions.
    """
    return math.fsum(math.log(width) for width in measured.convolutions.widths)
