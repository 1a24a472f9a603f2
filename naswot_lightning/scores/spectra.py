"""The entropy of every feature map's spectrum: over how many directions its channels spread."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from naswot_lightning.scores.feature_maps import feature_modules
from naswot_lightning.scores.gradients import one_thread
from naswot_lightning.scores.output_watch import OutputWatch

_EPSILON = 1e-8  # of the published logarithm


class SpectralEntropies(OutputWatch):
    """While entered, notes the entropy of every feature map of a network.

    Args:
        network: whose feature maps.
        images: N of the mini-batch; not needed.

    Attributes:
        values: entropies in nats in the order of the forward pass; -inf for a map that is constant, nan for one that
            is not finite.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        super().__init__(feature_modules(network))

    def _value(self, output: Tensor) -> float:
        with one_thread(), torch.autocast(output.device.type, enabled=False):
            return _spectral_entropy(output)


def _spectral_entropy(feature_map: Tensor) -> float:
    """Return -sum p log(p + 1e-8), p the normalised eigenvalues of the covariance of the channels of (N, C, H, W)."""
    rows = feature_map.permute(0, 2, 3, 1).flatten(0, 2).float()  # (N * H * W, C)
    centred = rows - rows.mean(dim=0)
    covariance = (centred.T @ centred).cpu().double() / len(rows)
    if not bool(covariance.isfinite().all()):
        return math.nan
    values = torch.linalg.eigvalsh(covariance).clamp(min=0)
    total = values.sum()
    if float(total) <= 0:
        return -math.inf
    shares = values / total
    return -float((shares * (shares + _EPSILON).log()).sum())
