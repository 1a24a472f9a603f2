"""Run a network for its score and leave no trace of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

BatchNorm = Literal["batch", "running"]
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def isolated(network: nn.Module, device: torch.device, batch_norm: BatchNorm = "batch") -> Iterator[None]:
    """Within the block, run the network for its score; afterwards, it and every generator are as before.

    All modules are in eval mode (no dropout, no drop path, no auxiliary head).

    Args:
        network: any module.
        device: whose generator is restored along with those of the CPU.
        batch_norm: "batch" for the statistics of the mini-batch: BatchNorm finds its running ones taken away, so that
            it has none to update, nor any reason to synchronise with other processes. "running" for those it has
            gathered in training, as a network in eval mode uses them; InstanceNorm likewise.
    """
    with ExitStack() as stack:
        stack.enter_context(generators_restored(device))
        stack.enter_context(_modules_restored(network, by_batch=batch_norm == "batch"))
        yield


@contextmanager
def generators_restored(device: torch.device) -> Iterator[None]:
    """Restore the states of Python's, numpy's and torch's generators (those of ``device`` too) at the end."""
    python, legacy = random.getstate(), np.random.get_state()
    devices = [device] if device.type not in ("cpu", "meta") else []
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


@contextmanager
def _modules_restored(network: nn.Module, by_batch: bool) -> Iterator[None]:
    modules = _all_modules(network)
    training = [module.training for module in modules]
    buffers = [(module._buffers, dict(module._buffers)) for module in modules if module._buffers]
    for module in modules:
        if by_batch and isinstance(module, _NormBase):
            module._buffers.update(dict.fromkeys(_STATISTICS))
    # From the modules at hand: network.buffers() would walk the tree once more, a third of this block's time.
    unique = {id(b): b for module in modules for b in module._buffers.values() if b is not None}
    contents = [(buffer, buffer.clone()) for buffer in unique.values()]
    try:
        for module in modules:
            # Module.__setattr__ costs 1 us a module, as much as the rest of this block.
            module.__dict__["training"] = by_batch and isinstance(module, _InstanceNorm)
        yield
    finally:
        for module, flag in zip(modules, training, strict=True):
            module.__dict__["training"] = flag
        for current, before in buffers:
            current.clear()
            current.update(before)
        with torch.inference_mode(False), torch.no_grad():
            for buffer, content in contents:
                buffer.copy_(content)


def _all_modules(network: nn.Module) -> list[nn.Module]:
    """Return the network and all modules in it, each once; ``network.modules()`` takes four times as long."""
    found: dict[nn.Module, None] = {}
    waiting: list[nn.Module | None] = [network]
    while waiting:
        module = waiting.pop()
        if module is not None and module not in found:
            found[module] = None
            waiting += module._modules.values()
    return list(found)
