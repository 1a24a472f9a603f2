"""The entropy of every feature map's spectrum: over how many directions its channels spread."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType

import torch
from torch import Tensor, nn

from naswot_lightning.proxies.feature_maps import each_feature_map
from naswot_lightning.proxies.gradients import one_thread

_EPSILON = 1e-8  # of the published logarithm


class SpectralEntropies(AbstractContextManager["SpectralEntropies"]):
    """While entered, notes the entropy of every feature map of a network.

    Args:
        network: whose feature maps.
        images: N of the mini-batch; not needed.

    Attributes:
        values: entropies in nats in the order of the forward pass; -inf for a map that is constant, nan for one that
            is not finite.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        self.values: list[float] = []
        self._network = network
        self._stack = ExitStack()

    def __enter__(self) -> SpectralEntropies:
        self.values = []
        self._stack.enter_context(each_feature_map(self._network, self._note))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _note(self, feature_map: Tensor) -> None:
        with one_thread(), torch.autocast(feature_map.device.type, enabled=False):
            self.values.append(_spectral_entropy(feature_map))


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
