"""Gradients of a network that is left as it was found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd

from naswot_lightning.score.isolation import isolated


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute by one thread: sums depend on how many threads share them, and BatchNorm carries their rounding far.

    With one and with two threads ``grad_norm`` differed by up to 3 % for a plain network of NDS.
    """
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(count)


@contextmanager
def differentiable(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block gradients are recorded, at full precision, whatever the caller has switched."""
    with (
        isolated(network, device),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
    ):
        yield


def run_with(network: nn.Module, state: dict[str, Tensor], images: Tensor) -> Any:
    """Return what the network returns, with tensors of ``state`` in place of the network's own.

    Images and buffers are copies, since a network may change both in place.
    """
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    return functional_call(network, {**buffers, **state}, (images.clone(),))


def weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of convolutions and linear layers by parameter name; a shared one once."""
    layers = (_ConvNd, nn.Linear)
    wanted = {id(module._parameters.get("weight")) for module in network.modules() if isinstance(module, layers)}
    return {name: parameter for name, parameter in network.named_parameters() if id(parameter) in wanted}


def gradients(output: Tensor, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return d(output) / d(input) for every input, zeros where the output does not depend on it."""
    if not inputs or not output.requires_grad:
        return [torch.zeros_like(tensor) for tensor in inputs]
    return torch.autograd.grad(output, inputs, allow_unused=True, materialize_grads=True)


def positive_sum(parts: Sequence[Tensor]) -> float:
    """Return the sum of non-negative scalars in float64; -inf where it is 0, nan where it is not finite."""
    total = float(torch.stack(list(parts)).cpu().double().sum()) if parts else 0.0
    if not math.isfinite(total):
        return math.nan
    return total if total > 0 else -math.inf
