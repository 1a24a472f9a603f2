"""How far the loss's gradients exceed their spread over mini-batches."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from naswot_lightning.scores.base import ONE_PASS, Measured, proxy
from naswot_lightning.scores.loss import loss_gradients

_PARTS = 2  # as published; each has a mini-batch's statistics of its own, so that the pass of the whole is of no use


@proxy("zico", source="Li et al. 2023", cost=f"{ONE_PASS}, of one half and the other")
def zico(measured: Measured) -> float:
    """Return the sum over convolutions and linear layers of log(sum over weights of mean|g| / std(g)).

    g = dL/dw for the first and the second half of the probe, each run for itself, L the cross-entropy of its labels.
    Mean and standard deviation (of the population) are over the two; weights whose gradients are equal are left out,
    and layers without any other.

    Returns:
        The sum; -inf where the gradients of no weight differ, nan where it is not finite.

    Raises:
        ValueError: fewer than 4 images, or the network does not return logits of the classes.
    """
    probe = measured.probe
    if len(probe.images) < 2 * _PARTS:
        raise ValueError(f"{len(probe.images)} images: zico compares {_PARTS} mini-batches of at least 2 images")
    halves = zip(probe.images.chunk(_PARTS), probe.labels.chunk(_PARTS), strict=True)
    both = [loss_gradients(measured.network, images, labels, probe.num_classes).of_weights for images, labels in halves]
    layers = [_log_ratio(torch.stack([g for _, g in layer]).cpu().double()) for layer in zip(*both, strict=True)]
    known = [value for value in layers if value is not None]
    if not known:
        return -math.inf
    total = math.fsum(known)
    return total if math.isfinite(total) else math.nan


def _log_ratio(gradients: Tensor) -> float | None:
    """Return log(sum of mean|g| / std(g)) of one layer's gradients (parts, ...); None where no weight's differ."""
    if not bool(gradients.isfinite().all()):
        return math.nan
    spread = gradients.std(dim=0, correction=0)
    differ = spread > 0
    if not bool(differ.any()):
        return None
    return math.log(float((gradients.abs().mean(dim=0)[differ] / spread[differ]).sum()))
