"""Scores of one backward pass: through the loss of the probe's labels, the logits, or those of positive weights.

The loss L is the cross-entropy of the probe's labels, its mean over the N images. Unless said otherwise a score is
-inf where no gradient reaches any weight, nan where a value is not finite, and raises ValueError where the network does
not return logits of the classes (:func:`~naswot_lightning.logits.logits_of`). Weights are those of convolutions and
linear layers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from naswot_lightning.logits import logits_of
from naswot_lightning.naswot.image_dimension import functions_named
from naswot_lightning.naswot.naswot import in_channels_last
from naswot_lightning.networks import on_the_cpu
from naswot_lightning.scores.base import ABDELFATTAH, ONE_PASS, PAPER, Measured, score
from naswot_lightning.scores.gradients import (
    correlations_of_rows,
    cross_entropy,
    differentiable,
    free_weights,
    gradients,
    loss_gradients,
    one_thread,
    positive_sum,
    run_on,
    run_with,
    weights,
)

# Keeps log and reciprocal finite for eigenvalue 0.
_JACOBIAN_K = 1e-5


@score("jacob_cov", source="Mellor et al. 2020, arXiv:2006.04647v1", cost=ONE_PASS)
def jacob_cov(measured: Measured) -> float:
    """Return the score of the paper's first version: how little the images' Jacobians are correlated.

    J = d(sum of all logits) / d(images), (N, C * H * W); v are the eigenvalues of the (N, N) correlation matrix
    of its rows; the score is -sum(log(v + k) + 1 / (v + k)) with k = 1e-5. It is at most -N (1 + k), approached where
    all correlations vanish; -inf where an image's Jacobian is constant, as in a disconnected network. The images are
    the probe's augmented ones, as in that version.
    """
    jacobian = jacobian_of(measured)
    if not bool(jacobian.isfinite().all()):
        return math.nan
    correlations = correlations_of_rows(jacobian)
    if not bool(correlations.diagonal().all()):
        return -math.inf
    shifted = torch.linalg.eigvalsh(correlations) + _JACOBIAN_K
    return -float((shifted.log() + shifted.reciprocal()).sum())


def jacobian_of(measured: Measured) -> Tensor:
    """Return J = d(sum of all logits) / d(images), (N, C * H * W) float64 on the CPU, of the augmented images."""
    network, probe = measured.network, measured.probe

    def jacobian(images: Tensor) -> Tensor:
        with differentiable(network, images.device):
            inputs, output = run_on(network, images)
            total = logits_of(output, len(inputs), probe.num_classes).sum()
            return gradients(total, [inputs])[0].flatten(1)

    # On plain CIFAR-10 images: Kendall's tau on 300 of NAS-Bench-201 of .571, .589, .574, not .596, .610, .599.
    images = probe.images if probe.augmented is None else probe.augmented
    return in_channels_last(jacobian, network, images).cpu().double()


@score("grad_norm", source=f"{ABDELFATTAH}; {PAPER}, Figure 4", cost=ONE_PASS, needs_labels=True)
def grad_norm(measured: Measured) -> float:
    """Return the sum of the Euclidean norms of dL/dw, one norm per weight tensor."""
    # As Abdelfattah et al. define it: a sum of norms, not the norm of the whole, and neither biases nor BatchNorm.
    return positive_sum([torch.linalg.vector_norm(gradient) for _, gradient in measured.loss_gradients.of_weights])


@score("snip", source=f"Lee et al. 2019; {ABDELFATTAH}", cost=ONE_PASS, needs_labels=True)
def snip(measured: Measured) -> float:
    """Return the connection sensitivity sum |w * dL/dw| over the weights."""
    # Lee et al. divide by this sum; Abdelfattah et al. sum it.
    return positive_sum([(weight * gradient).abs().sum() for weight, gradient in measured.loss_gradients.of_weights])


@score("fisher", source=f"Theis et al. 2018; Turner et al. 2020; {ABDELFATTAH}", cost=ONE_PASS, needs_labels=True)
def fisher(measured: Measured) -> float:
    """Return the sum over all channels of 1 / 2N * sum over images of (sum over pixels of a * dL/da)^2.

    a is the output of a convolution or linear layer, (N, C, ...), for each call of one.
    """
    gradients = measured.loss_gradients
    reached = positive_sum([gradient.abs().sum() for _, gradient in gradients.of_weights])
    # A classifier's outputs have gradients even if nothing reaches it.
    if not math.isfinite(reached):
        return reached
    # In float64: float32 ends at 1e-38, and these are squares.
    channels = on_the_cpu(gradients.of_channels)
    return positive_sum([sums.double().square().sum() / (2 * len(sums)) for sums in channels])


_BOTH = f"{ONE_PASS}, and a backward pass through both"


@score("grasp", source=f"Wang et al. 2020; {ABDELFATTAH}", cost=_BOTH, needs_labels=True)
def grasp(measured: Measured) -> float:
    """Return -sum w * (H g) over the weights, with g = dL/dw and H the Hessian of L."""
    network, probe = measured.network, measured.probe

    # Where BatchNorm undoes the scale of a layer, its weights contribute their part of g'g. The logits are at
    # temperature 1, as Abdelfattah et al. have it; Wang et al. divide them by 200.
    def change_of_flow(images: Tensor) -> tuple[float, float]:
        with differentiable(network, images.device):
            weights = list((state := free_weights(network)).values())
            loss = cross_entropy(network, state, images, probe.labels, probe.num_classes)
            if not weights or not loss.requires_grad:
                return 0.0, 0.0
            # H g is the gradient of g'g / 2.
            found = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True, materialize_grads=True)
            flow = torch.stack([gradient.square().sum() for gradient in found]).sum()
            changes = gradients(flow / 2, weights)
        # g'g and w'(H g)
        products = [(w.detach() * change).sum() for w, change in zip(weights, changes, strict=True)]
        return float(flow.detach()), float(torch.stack(products).cpu().double().sum())

    with one_thread():
        flow, change = in_channels_last(change_of_flow, network, probe.images)
    if not math.isfinite(flow) or not math.isfinite(change):
        return math.nan
    return -change if flow > 0 else -math.inf


# As published; each has a mini-batch's statistics of its own, so that the pass of the whole is of no use.
_PARTS = 2


@score("zico", source="Li et al. 2023", cost=f"{ONE_PASS}, of one half and the other", needs_labels=True)
def zico(measured: Measured) -> float:
    """Return the sum over convolutions and linear layers of log(sum over weights of mean|g| / std(g)).

    g = dL/dw for the first and the second half of the probe, each run for itself. Mean and standard deviation (of the
    population) are over the two; weights whose gradients are equal are left out, and layers without any other. The sum
    is -inf where the gradients of no weight differ, nan where it is not finite; fewer than 4 images are a ValueError.
    """
    probe = measured.probe
    if len(probe.images) < 2 * _PARTS:
        raise ValueError(f"{len(probe.images)} images: zico compares {_PARTS} mini-batches of at least 2 images")
    halves = zip(probe.images.chunk(_PARTS), probe.labels.chunk(_PARTS), strict=True)
    both = [loss_gradients(measured.network, images, labels, probe.num_classes).of_weights for images, labels in halves]
    ratios = []
    # (2, *shape of the weight)
    for layer in on_the_cpu([torch.stack([gradient for _, gradient in layer]) for layer in zip(*both, strict=True)]):
        g = layer.double()
        if not bool(g.isfinite().all()):
            return math.nan
        spread = g.std(dim=0, correction=0)
        differ = spread > 0
        if bool(differ.any()):
            ratios.append(math.log(float((g.abs().mean(dim=0)[differ] / spread[differ]).sum())))
    if not ratios:
        return -math.inf
    total = math.fsum(ratios)
    return total if math.isfinite(total) else math.nan


# Powers of two for SynFlow's image and output, tried in turn: doubles end at 2^1023 = 1e308, an image of 2^-960
# = 1e-289 lets the flow reach 1e597, and is itself 19 decades above the smallest normal double.
_FLOW_EXPONENTS = (-960, 960)


@score("synflow", source=f"Tanaka et al. 2020; {ABDELFATTAH}", cost=f"{ONE_PASS} of one image in float64")
def synflow(measured: Measured) -> float:
    """Return the logarithm of the synaptic flow sum |w * dR/dw| over the weights.

    R is the sum of the logits for one image of ones, all parameters and buffers replaced by their absolute
    values and BatchNorm by the identity; labels and images are not used, only the images' shape. The score is -inf
    where no flow reaches the output, nan where it is beyond 1e590 or a parameter NaN.
    """
    # The flow grows with depth, to 1e43 in NAS-Bench-201. Beyond float64 all but weights is scaled by powers of two,
    # to which convolutions, linear layers, ReLUs, pooling and sums are indifferent: exact up to 1e590.
    flow = first = _log_flow(measured, 0)
    for exponent in _FLOW_EXPONENTS:
        flow = flow if math.isfinite(flow) else _log_flow(measured, exponent)
    return flow if math.isfinite(flow) else first


def _log_flow(measured: Measured, exponent: int) -> float:
    """Return log of SynFlow's sum, computed with image, biases and R scaled by 2^exponent."""
    network, images = measured.network, measured.probe.images
    # MPS has no float64.
    device = images.device if images.device.type != "mps" else torch.device("cpu")
    ones = torch.ones(1, *images.shape[1:], dtype=torch.float64, device=device)

    def products(ones: Tensor) -> list[Tensor]:
        with differentiable(network, images.device), _WithoutBatchNorm():
            state = {}
            for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
                value = tensor.detach().to(device)
                if value.is_floating_point():
                    value = value.double().abs() * 2.0 ** (exponent if name.endswith("bias") else 0)
                state[name] = value
            inputs = [state[name].requires_grad_() for name in weights(network)]
            output = run_with(network, state, ones * 2.0**exponent)
            total = logits_of(output, 1, measured.probe.num_classes).sum() * 2.0**exponent
            return [(w.detach() * g).abs().sum() for w, g in zip(inputs, gradients(total, inputs), strict=True)]

    flow = positive_sum(in_channels_last(products, network, ones))
    return math.log(flow) - 2 * exponent * math.log(2) if flow > 0 else flow


_BATCH_NORM = functions_named("batch_norm")


class _WithoutBatchNorm(TorchFunctionMode):
    """While active, BatchNorm returns its input."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _BATCH_NORM:
            return args[0] if args else kwargs["input"]
        return func(*args, **kwargs)
