"""Run a network for its score and leave no trace of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parallel import DataParallel, DistributedDataParallel

from naswot_lightning.score.unseen import unseen_calls_refused
from naswot_lightning.seeds import generators_restored

# Settings of the whole process that a network may change.
_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, torch.set_default_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
)
# What it may replace functions of, and where hooks of all modules are kept.
_NAMESPACES = (torch, torch.nn.functional, nn, nn.init, torch.Tensor, nn.Module)
_GLOBAL_HOOKS = [value for name, value in vars(nn.modules.module).items() if name.startswith("_global_")]
# Modules of torch, whose forward in eval mode sets no attribute and writes to no buffer.
_OWN = {each for each in vars(nn).values() if isinstance(each, type) and issubclass(each, nn.Module)} - {nn.Module}


@contextmanager
def isolated(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block, run the network for its score; afterwards, it and every generator are as before.

    All modules are in eval mode (no dropout, no drop path, no auxiliary head), and compiled ones run as written, so
    that their calls can be seen. A lazy module that has no weights yet draws them and keeps them.

    Args:
        network: any module.
        device: whose generator is restored along with those of the CPU.
    """
    with ExitStack() as stack:
        stack.enter_context(generators_restored(device))
        modules = all_modules(network)
        stack.enter_context(_modules_restored(modules))
        stack.enter_context(unseen_calls_refused(set(modules)))
        # Nothing is compiled where Dynamo, which takes a second to import, is not loaded.
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside torch.compile's, DistributedDataParallel's and DataParallel's wrappers.

    A wrapper would call the other processes of a distributed training, which are not scoring.
    """
    while True:
        if isinstance(network, DistributedDataParallel | DataParallel):
            network = network.module
        elif hasattr(network, "_orig_mod"):
            network = network._orig_mod  # type: ignore[assignment]
        else:
            return network


@contextmanager
def _modules_restored(modules: list[nn.Module]) -> Iterator[None]:
    """Put all modules into eval mode; at the end, restore their attributes, and the values of their buffers."""
    flags = [module.training for module in modules]
    # Shallow copies: what a forward pass sets (a cache, a mask of this batch size, a counter) is gone afterwards.
    attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
    contents: dict[int, tuple[Tensor, Tensor]] = {}
    for module in modules:
        # Most modules are torch's own, whose forward sets nothing; a hook before it may (weight_norm, prune).
        own = type(module) in _OWN and not module._forward_pre_hooks
        if not own and not isinstance(module, torch.jit.ScriptModule | LazyModuleMixin):
            members = (module.__dict__, module._parameters, module._buffers)
            attributes += [(each, each.copy()) for each in members if each]
        if not own:
            for buffer in module._buffers.values():
                if buffer is not None and not nn.parameter.is_lazy(buffer):
                    contents[id(buffer)] = buffer, buffer.clone()
    try:
        _set_training(modules, [False] * len(modules))
        yield
    finally:
        for current, before in attributes:
            for name in current.keys() - before.keys():
                del current[name]
            current.update(before)
        _set_training(modules, flags)
        with torch.inference_mode(False), torch.no_grad():
            for buffer, content in contents.values():
                buffer.copy_(content)


def _set_training(modules: list[nn.Module], flags: list[bool]) -> None:
    for module, flag in zip(modules, flags, strict=True):
        if isinstance(module, torch.jit.ScriptModule):
            module.training = flag
        else:
            # Module.__setattr__ costs 1 us a module, as much as the rest of this block.
            module.__dict__["training"] = flag


def all_modules(network: nn.Module) -> list[nn.Module]:
    """Return the network and all modules in it, each once; ``network.modules()`` takes four times as long."""
    found: dict[nn.Module, None] = {}
    waiting: list[nn.Module | None] = [network]
    while waiting:
        module = waiting.pop()
        if module is not None and module not in found:
            found[module] = None
            waiting += module._modules.values()
    return list(found)


@contextmanager
def process_restored() -> Iterator[None]:
    """At the end, torch's settings, its functions and the hooks of all modules are those of before.

    A network that sets the default type, or replaces ``F.relu``, must not change the scores of those that come after.
    """
    settings = [(restore, read(), read) for read, restore in _SETTINGS]
    functions = [(space, dict(vars(space))) for space in _NAMESPACES]
    hooks = [(own, own.copy()) for own in _GLOBAL_HOOKS if isinstance(own, dict)]
    try:
        yield
    finally:
        for restore, before, read in settings:
            if read() != before:
                restore(before)
        for space, originals in functions:
            now = dict(vars(space))
            if now != originals:  # 20 us where nothing has changed; name by name 200 us
                for name, each in originals.items():
                    if callable(each) and now.get(name) is not each:
                        setattr(space, name, each)
        for own, before in hooks:
            if own != before:
                own.clear()
                own.update(before)
