"""The change of the gradients' flow with each weight."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from naswot_lightning.score.memory_format import in_channels_last
from naswot_lightning.scores.base import ABDELFATTAH, Measured, proxy
from naswot_lightning.scores.gradients import differentiable, gradients, one_thread
from naswot_lightning.scores.loss import cross_entropy, free_weights

_COST = "one forward and backward pass, and a backward pass through both"


@proxy("grasp", source=f"Wang et al. 2020; {ABDELFATTAH}", cost=_COST)
def grasp(measured: Measured) -> float:
    """Return -sum w * (H g) over the weights of convolutions and linear layers.

    g = dL/dw and H is the Hessian of L, the cross-entropy of the probe's labels (at temperature 1, as Abdelfattah et
    al. have it; Wang et al. divide the logits by 200). H g is the gradient of g'g / 2. Where BatchNorm undoes the scale
    of a layer, its weights contribute their part of g'g, so that the score is close to that of squared norms.

    Returns:
        The sum; -inf where no gradient reaches any weight, nan where it is not finite.

    Raises:
        ValueError: the network does not return logits of the classes (:func:`~naswot_lightning.logits.logits_of`).
    """
    probe = measured.probe
    with one_thread():
        change_of_flow = partial(_change_of_flow, measured.network, probe.labels, probe.num_classes)
        flow, change = in_channels_last(change_of_flow, measured.network, probe.images)
    if not math.isfinite(flow) or not math.isfinite(change):
        return math.nan
    return -change if flow > 0 else -math.inf


def _change_of_flow(network: nn.Module, labels: Tensor, num_classes: int, images: Tensor) -> tuple[float, float]:
    """Return g'g and w'(H g)."""
    with differentiable(network, images.device):
        weights = list((state := free_weights(network)).values())
        loss = cross_entropy(network, state, images, labels, num_classes)
        if not weights or not loss.requires_grad:
            return 0.0, 0.0
        found = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True, materialize_grads=True)
        flow = torch.stack([gradient.square().sum() for gradient in found]).sum()
        changes = gradients(flow / 2, weights)
    products = [(w.detach() * change).sum() for w, change in zip(weights, changes, strict=True)]
    return float(flow.detach()), float(torch.stack(products).cpu().double().sum())
