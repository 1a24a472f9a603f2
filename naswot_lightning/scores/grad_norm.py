"""The norm of the loss's gradients."""

from __future__ import annotations

import torch

from naswot_lightning.scores.base import ABDELFATTAH, ONE_PASS, PAPER, Measured, proxy
from naswot_lightning.scores.gradients import positive_sum


@proxy("grad_norm", source=f"{ABDELFATTAH}; {PAPER}, Figure 4", cost=ONE_PASS)
def grad_norm(measured: Measured) -> float:
    """Return the sum of the Euclidean norms of the loss's gradients, one norm a convolution or linear weight.

    The loss is the cross-entropy of the probe's labels. Mellor et al. (Figure 4) take it from Abdelfattah et
    al., whose definition this is: a sum of norms, not the norm of the whole, and neither biases nor BatchNorm.

    Returns:
        The sum; -inf where no gradient reaches any weight, nan where it is not finite.

    Raises:
        ValueError: the network does not return logits of the classes (:func:`~naswot_lightning.logits.logits_of`).
    """
    return positive_sum([torch.linalg.vector_norm(gradient) for _, gradient in measured.loss_gradients.of_weights])
