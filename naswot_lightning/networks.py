"""From an architecture to an untrained network, with weights of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from naswot_lightning.errors import UserError
from naswot_lightning.naswot.compiled.codes import is_dense
from naswot_lightning.naswot.isolation import all_modules
from naswot_lightning.seeds import derived_seed, seeded
from naswot_lightning.spaces import Space

# What a module keeps that needs no treatment of its own to be moved.
_PLAIN = {Tensor, nn.Parameter}


def get_device(name: str, option: str = "--device") -> torch.device:
    """Return the device of that name; ``auto`` is the accelerator where there is one, else the CPU.

    GPUs of CUDA are counted, and not opened.
    """
    if name == "auto":
        # Asked in this order: where there is none, torch 2.6 raises for the second.
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    try:
        device = torch.device(name)
        if device.type != "cuda":
            torch.empty(1, device=device)
        elif (device.index or 0) >= (count := torch.cuda.device_count()):
            raise RuntimeError(f"this machine has {count} CUDA devices")
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{option} {name}: {reason}; use auto, cpu, or a device of this machine") from None
    return device


def build_network(
    space: Space, architecture: str, seed: int, num_classes: int, repeat: int = 0,
    auxiliary: bool = False, drop_path: float = 0.0,
) -> nn.Module:  # fmt: skip
    """Build an untrained network on the CPU with weights that depend on (seed, space, architecture) alone.

    ``repeat`` is the number of several initializations. An auxiliary head and drop path are for training; the cells
    keep the weights that they have without.

    >>> from naswot_lightning.spaces import get_space
    >>> size = get_space("nats_size")
    >>> once, again = (build_network(size, "8:8:8:8:8", seed=0, num_classes=10) for _ in range(2))
    >>> all(a.equal(b) for a, b in zip(once.state_dict().values(), again.state_dict().values()))
    True
    """
    built = space.with_training_parts(architecture, auxiliary, drop_path)
    parts = (seed, space.name, architecture, *((repeat,) if repeat else ()))
    with seeded(derived_seed(*parts), torch.device("cpu")):
        return space.build(built, num_classes)


def move_network(network: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    """Return the network on the device, its convolutions' weights in channels_last memory where that is asked for."""
    # ``network.to(memory_format=...)`` makes every other tensor anew, too, which takes 4 ms where building a network of
    # NAS-Bench-201 takes 11 ms; ``network.parameters()`` takes ten times as long as these loops.
    if channels_last:
        for module in all_modules(network):
            for weight in module._parameters.values():
                if weight is not None and not nn.parameter.is_lazy(weight) and weight.dim() == 4:
                    weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    if device.type != "cpu" and not _move_plain_tensors(network, device):
        network.to(device)
    return network


def _move_plain_tensors(network: nn.Module, device: torch.device) -> bool:
    """Move parameters and buffers together; return False where any of them, or a module, is moved in its own way."""
    modules = all_modules(network)
    members: list[dict[str, Any]] = [own for module in modules for own in (module._parameters, module._buffers) if own]
    tensors = {id(each): each for own in members for each in own.values() if each is not None}
    kinds: set[type[nn.Module]] = set(map(type, modules))
    own_ways = any(kind.to is not nn.Module.to or kind._apply is not nn.Module._apply for kind in kinds)
    if own_ways or not all(type(t) in _PLAIN and t.is_cpu and t.layout is torch.strided for t in tensors.values()):
        return False
    moved = dict(zip(tensors, moved_together(list(tensors.values()), device), strict=True))
    for own in members:
        for name, each in own.items():
            if isinstance(each, nn.Parameter):
                each.data = moved[id(each)]
            elif each is not None:
                own[name] = moved[id(each)]
    return True


def moved_together(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Return copies of tensors of the CPU on a device, with one transfer for each type of number; there, themselves."""
    if device.type == "cpu":
        return list(tensors)
    # The 300 tensors of a network of NAS-Bench-201, one by one, are 300 transfers, and the host waits for each.
    moved: dict[int, Tensor] = {}
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        chosen = {number: each.detach() for number, each in enumerate(tensors) if each.dtype == dtype}
        chosen = {number: each if is_dense(each) else each.contiguous() for number, each in chosen.items()}
        # Each begins where memory of its own would: at a multiple of 512 bytes.
        step = 512 // dtype.itemsize
        ends = list(accumulate(-(-each.numel() // step) * step for each in chosen.values()))
        places = [(each.shape, each.stride(), end) for each, end in zip(chosen.values(), [0, *ends], strict=False)]
        flat = torch.empty(ends[-1], dtype=dtype, pin_memory=device.type == "cuda")
        for each, place in zip(chosen.values(), places, strict=True):
            flat.as_strided(*place).copy_(each)
        there = flat.to(device, non_blocking=True)
        moved.update((number, there.as_strided(*place)) for number, place in zip(chosen, places, strict=True))
    return [moved[number] for number in range(len(tensors))]


def on_the_cpu(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors of one device and type on the CPU, with one transfer."""
    if all(tensor.is_cpu for tensor in tensors):
        return list(tensors)
    parts = torch.cat([tensor.reshape(-1) for tensor in tensors]).cpu().split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
