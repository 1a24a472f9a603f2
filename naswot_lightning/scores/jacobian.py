"""The score of the paper's first version, and the Jacobian that it looks at."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from naswot_lightning.logits import logits_of
from naswot_lightning.score.isolation import in_channels_last
from naswot_lightning.scores.base import ONE_PASS, Measured, score
from naswot_lightning.scores.gradients import differentiable, gradients, run_with

# Keeps log and reciprocal finite for eigenvalue 0.
_JACOBIAN_K = 1e-5


@score("jacob_cov", source="Mellor et al. 2020, arXiv:2006.04647v1", cost=ONE_PASS)
def jacob_cov(measured: Measured) -> float:
    """Return the score of the paper's first version: how little the images' Jacobians are correlated.

    J = d(sum of all logits) / d(images), (N, C * H * W); v are the eigenvalues of the (N, N) correlation matrix
    of its rows; the score is -sum(log(v + k) + 1 / (v + k)) with k = 1e-5. Correlation and eigenvalues are in
    float64. It is at most -N (1 + k), approached where all correlations vanish. The images are the probe's augmented
    ones, as in that version: on plain CIFAR-10 images it ranks NAS-Bench-201 worse (Kendall's tau on 300 architectures
    .571 / .589 / .574 instead of .596 / .610 / .599).

    Returns:
        The score; -inf where an image's Jacobian is constant, as in a disconnected network, so that it has no
        correlation; nan where a gradient is not finite.
    """
    jacobian = jacobian_of(measured)
    if not bool(jacobian.isfinite().all()):
        return math.nan
    correlations = correlations_of_rows(jacobian)
    if correlations is None:
        return -math.inf
    shifted = torch.linalg.eigvalsh(correlations) + _JACOBIAN_K
    return -float((shifted.log() + shifted.reciprocal()).sum())


def jacobian_of(measured: Measured) -> Tensor:
    """Return J = d(sum of all logits) / d(images), (N, C * H * W) float64 on the CPU, of the augmented images."""
    network, probe = measured.network, measured.probe

    def jacobian(images: Tensor) -> Tensor:
        with differentiable(network, images.device):
            inputs = images.clone().detach().requires_grad_()
            fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
            total = logits_of(run_with(network, fixed, inputs), len(inputs), probe.num_classes).sum()
            return gradients(total, [inputs])[0].flatten(1)

    images = probe.images if probe.augmented is None else probe.augmented
    return in_channels_last(jacobian, network, images).cpu().double()


def correlations_of_rows(jacobian: Tensor) -> Tensor | None:
    """Return the (N, N) correlation matrix of the rows of J; None where a row is constant and has none.

    >>> correlations_of_rows(torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0]])).round().tolist()
    [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    centred = jacobian - jacobian.mean(dim=1, keepdim=True)
    lengths = torch.linalg.vector_norm(centred, dim=1, keepdim=True)  # (N, 1)
    if bool((lengths == 0).any()):
        return None
    rows = centred / lengths
    return rows @ rows.T
