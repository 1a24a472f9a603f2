"""Gradients of a network that is left as it was found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from naswot_lightning.score.batch_statistics import BatchStatistics
from naswot_lightning.score.isolation import all_modules, isolated
from naswot_lightning.score.unseen import UnseenCallError


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
    """Return what the network returns, with tensors of ``state`` in place of its own, BatchNorm by the mini-batch.

    Images and buffers are copies, since a network may change both in place.

    Args:
        network: any module.
        state: by the names of ``named_parameters()`` and ``named_buffers()``, which name a shared tensor once.
        images: the mini-batch.
    """
    named = dict(network.named_buffers())
    buffers = {name: buffer.clone() for name, buffer in named.items()}
    named.update(network.named_parameters())
    tensors = {id(named[name]): tensor for name, tensor in {**buffers, **state}.items()}
    with replaced(network, tensors), BatchStatistics():
        return network(images.clone())


@contextmanager
def replaced(network: nn.Module, tensors: dict[int, Tensor]) -> Iterator[None]:
    """Within the block, parameters and buffers are others, by the ``id`` of the tensors that they take the place of.

    ``torch.func.functional_call`` goes by names: where a module has two, it computes with one of them and leaves the
    replaced tensors behind.

    Raises:
        UnseenCallError: a part of the network is TorchScript, which keeps its tensors to itself.
    """
    modules = all_modules(network)
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        raise UnseenCallError("a part of the network is TorchScript: score it as it was before torch.jit.script")
    members: list[dict[str, Any]] = [own for m in modules for own in (m._parameters, m._buffers) if own]
    before = [dict(own) for own in members]
    try:
        for own in members:
            own.update({name: tensors[id(tensor)] for name, tensor in own.items() if id(tensor) in tensors})
        yield
    finally:
        for own, kept in zip(members, before, strict=True):
            own.update(kept)


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
