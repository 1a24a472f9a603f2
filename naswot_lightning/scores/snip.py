"""The sensitivity of the loss to its connections."""

from __future__ import annotations

from naswot_lightning.scores.base import ABDELFATTAH, ONE_PASS, Measured, proxy
from naswot_lightning.scores.gradients import positive_sum


@proxy("snip", source=f"Lee et al. 2019; {ABDELFATTAH}", cost=ONE_PASS)
def snip(measured: Measured) -> float:
    """Return the connection sensitivity sum |w * dL/dw| over the weights of convolutions and linear layers.

    The loss is the cross-entropy of the probe's labels. Lee et al. divide by this sum; Abdelfattah et al. sum it.

    Returns:
        The sum; -inf where no gradient reaches any weight, nan where it is not finite.

    Raises:
        ValueError: the network does not return logits of the classes (:func:`~naswot_lightning.logits.logits_of`).
    """
    return positive_sum([(weight * gradient).abs().sum() for weight, gradient in measured.loss_gradients.of_weights])
