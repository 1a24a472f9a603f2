"""The entropy of the Fisher information's spectrum, one weight a parameter tensor, behind their number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from naswot_lightning.logits import logits_of
from naswot_lightning.naswot.naswot import in_channels_last
from naswot_lightning.networks import on_the_cpu
from naswot_lightning.scores.base import Measured, score
from naswot_lightning.scores.gradients import (
    LINEAR,
    PLAIN_CONVOLUTIONS,
    detached_parameters,
    differentiable,
    run_with,
)

_IMAGES = 16
_WEIGHTS = 128
_SMOOTHING = 0.05
# 10 %, 20 %, ..., 90 %
_QUANTILES = 9
# Arguments in their order; those of a linear layer are the first ones of a convolution.
_OF_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_OF_BATCH_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_COST = f"one forward pass of {_IMAGES} images, and a backward pass for each class"


@score("vkdnw", source="Tybl & Neumann 2025", cost=_COST)
def vkdnw(measured: Measured) -> float:
    """Return the number of parameter tensors, plus the entropy of the Fisher information's spectrum as a fraction.

    J, (classes, weights), is the Jacobian of an image's logits by the first weight of each of the first 128 parameter
    tensors; p are its softmax probabilities, a twentieth of them spread evenly. F = mean over images of
    J' (diag(p) - pp') J, and the entropy is that of the 10, 20, ..., 90 % quantiles of its singular values, divided by
    their sum: at most log 9, by which it is divided. So the score ranks by the number, and by the entropy where numbers
    are equal, as published. The images are the first 16 of the probe. The sum is -inf where the quantiles vanish, so
    that no weight but a few changes the logits, or there is none; nan where a value is not finite.
    """
    network, classes = measured.network, measured.probe.num_classes
    count = len(list(network.parameters()))
    if count == 0:
        return -math.inf

    def jacobian_of(batch: Tensor) -> tuple[Tensor, Tensor]:
        with differentiable(network, batch.device):
            fixed = detached_parameters(network)
            first_weights = _FirstWeights(list(fixed.values())[:_WEIGHTS], len(batch))
            inputs = batch.detach().clone().requires_grad_()
            with first_weights:
                logits = logits_of(run_with(network, fixed, inputs), len(inputs), classes)
            rows = first_weights.rows(list(logits.sum(dim=0)), inputs)
        # (N, classes) and (N, classes, weights)
        return logits.detach().cpu().double(), torch.stack(rows, dim=1)

    logits, jacobian = in_channels_last(jacobian_of, network, measured.probe.images[:_IMAGES])
    if not bool(logits.isfinite().all() and jacobian.isfinite().all()):
        return math.nan
    p = logits.softmax(dim=1) * (1 - _SMOOTHING) + _SMOOTHING / classes
    # diag(p) J, (N, classes, weights), and p' J, (N, weights)
    weighted = p[:, :, None] * jacobian
    means = weighted.sum(dim=1)
    # F, (weights, weights)
    information = (torch.einsum("nkv,nkw->vw", jacobian, weighted) - means.T @ means) / len(logits)
    values = torch.linalg.eigvalsh(information).clamp(min=0)
    levels = torch.arange(1, _QUANTILES + 1, dtype=torch.float64) / (_QUANTILES + 1)
    quantiles = torch.quantile(values, levels)
    total = float(quantiles.sum())
    if total <= 0:
        return -math.inf
    entropy = float(torch.special.entr(quantiles / total).sum())
    return count + entropy / math.log(_QUANTILES)


class _FirstWeights(TorchFunctionMode):
    """While active, observes the layers that hold the given parameters; afterwards, backward passes give Jacobians.

    Weights of other layers than convolutions, linear layers and BatchNorm have no part in them.
    """

    # BatchNorm takes the statistics of the images as constants, so that the logits of an image depend on it alone: a
    # gradient of the sum over images holds, for each, that of its own. (The published code leaves BatchNorm at mean 0
    # and variance 1, to which its Kaiming-normal weights keep the activations close, and those of a search do not.)
    # A layer's gradient by its first weight is that of the output times what the weight is multiplied with.
    def __init__(self, parameters: list[Tensor], images: int) -> None:
        super().__init__()
        self._columns = {id(parameter): column for column, parameter in enumerate(parameters)}
        self._shape = images, len(parameters)
        # Columns of backward passes with what is added to them, (N,), in the order of the calls.
        self._found: list[tuple[int, Tensor]] = []

    def rows(self, outputs: Sequence[Tensor], images: Tensor) -> list[Tensor]:
        """Return d(an image's part of an output) / d(weight), (N, weights), for each output."""
        rows: list[Tensor] = []
        places: list[tuple[Tensor, int]] = []
        self._found.clear()
        for output in outputs:
            if output.requires_grad:
                torch.autograd.grad(output, images, retain_graph=True, allow_unused=True)
            rows.append(torch.zeros(self._shape, dtype=torch.float64))
            places += [(rows[-1], column) for column, _ in self._found[len(places) :]]
        for (row, column), part in zip(places, on_the_cpu([part for _, part in self._found]), strict=True):
            row[:, column] += part.double()
        return rows

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self._normalize(dict(zip(_OF_BATCH_NORM, args, strict=False)) | kwargs)
        output = func(*args, **kwargs)
        if func in PLAIN_CONVOLUTIONS:
            self._observe_convolution(func, output, dict(zip(_OF_CONVOLUTION, args, strict=False)) | kwargs)
        elif func in LINEAR:
            given = dict(zip(_OF_CONVOLUTION, args, strict=False)) | kwargs
            self._observe(output, given["weight"], given["input"].detach()[..., 0].clone(), channels=-1)
            self._observe(output, given.get("bias"), None, channels=-1)
        return output

    def _observe_convolution(self, func: Callable[..., Tensor], output: Tensor, given: dict[str, Any]) -> None:
        weight = given["weight"]
        if id(weight) in self._columns:
            # What the first weight is multiplied with: the first channel, shifted.
            first = torch.zeros_like(weight[:1, :1])
            first[(0,) * first.dim()].fill_(1)
            options = {name: given[name] for name in ("stride", "padding", "dilation") if name in given}
            self._observe(output, weight, func(given["input"].detach()[:, :1], first, None, **options)[:, 0])
        self._observe(output, given.get("bias"), None)

    def _normalize(self, given: dict[str, Any]) -> Tensor:
        input, weight, bias, eps = given["input"], given.get("weight"), given.get("bias"), given.get("eps", 1e-5)
        # (C, N * pixels)
        values = input.detach().movedim(1, 0).flatten(1)
        variance, mean = torch.var_mean(values, dim=1, correction=0)
        output = F.batch_norm(input, mean, variance, weight, bias, training=False, eps=eps)
        self._observe(output, weight, (input.detach()[:, 0] - mean[0]) / torch.sqrt(variance[0] + eps))
        self._observe(output, bias, None)
        return output

    def _observe(self, output: Tensor, parameter: Tensor | None, factor: Tensor | None, channels: int = 1) -> None:
        """In a backward pass, add the gradient of the output's first channel times ``factor`` to the column."""
        column = self._columns.get(id(parameter))
        if column is None or not output.requires_grad:
            return

        def keep(gradient: Tensor) -> None:
            first = gradient.select(channels, 0)
            first = first if factor is None else first * factor
            self._found.append((column, first.reshape(len(first), -1).sum(dim=1)))

        output.register_hook(keep)
