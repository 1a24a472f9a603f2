"""Which device runs the networks."""

from __future__ import annotations

import os

import torch

from naswot_lightning.errors import UserError
from naswot_lightning.score.compiled.instructions import cpu_multiplies_bf16


def get_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is the accelerator where there is one, else the CPU.

    Raises:
        UserError: no such device on this machine.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
        return found if found is not None and torch.accelerator.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name}: {reason}; use auto, cpu, or a device of this machine") from None
    return device


def has_bf16_instructions(device: torch.device) -> bool:
    """Return whether bfloat16 is likely to be faster than float32 there: accelerators, and CPUs that multiply it."""
    return device.type != "cpu" or cpu_multiplies_bf16()


def warn_of_slow_bf16(device: torch.device) -> str | None:
    """Return a warning where float32 is faster than bfloat16, else None."""
    if has_bf16_instructions(device):
        return None
    return "--precision bf16: this CPU has no bfloat16 instructions and is slower with it, up to 8 times; use 32"


def accelerators(device: torch.device) -> list[dict[str, str]]:
    """Return the environment in which a process has one accelerator of that kind to itself, for each of this machine.

    Empty where the device is the CPU, one accelerator by its number, or of a kind that is not told apart like that.
    """
    if device.type != "cuda" or device.index is not None:
        return []
    return [{"CUDA_VISIBLE_DEVICES": name} for name in visible_gpus()]


def visible_gpus() -> list[str]:
    """Return the names of this process's GPUs, as ``CUDA_VISIBLE_DEVICES`` has them; no GPU is touched."""
    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(count)] if given is None else given.split(",")
    return [name.strip() for name in names[:count]]
