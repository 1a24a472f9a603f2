"""The Fisher information of the channels: what the loss would lose with each."""

from __future__ import annotations

import math

from naswot_lightning.scores.base import ABDELFATTAH, ONE_PASS, Measured, proxy
from naswot_lightning.scores.gradients import positive_sum


@proxy("fisher", source=f"Theis et al. 2018; Turner et al. 2020; {ABDELFATTAH}", cost=ONE_PASS)
def fisher(measured: Measured) -> float:
    """Return the sum over all channels of 1 / 2N * sum over images of (sum over pixels of a * dL/da)^2.

    a is the output of a convolution or linear layer, (N, C, ...), for each call of one; L is the cross-entropy of the
    probe's labels, its mean over the N images. The backward pass is that of ``grad_norm`` and ``snip``.

    Returns:
        The sum; -inf where no gradient reaches any weight, nan where it is not finite.

    Raises:
        ValueError: the network does not return logits of the classes (:func:`~naswot_lightning.logits.logits_of`).
    """
    gradients = measured.loss_gradients
    reached = positive_sum([gradient.abs().sum() for _, gradient in gradients.of_weights])
    if not math.isfinite(reached):  # a classifier's outputs have gradients even if nothing reaches it
        return reached
    # In float64: float32 ends at 1e-38, and these are squares.
    return positive_sum([sums.cpu().double().square().sum() / (2 * len(sums)) for sums in gradients.of_channels])
