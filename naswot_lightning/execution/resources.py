"""The devices and threads of this machine, and the share of them that each of several tasks has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

# Bytes of a process that trains: torch takes 0.5 GB, a network of NAS-Bench-201 and its batch 0.6 GB.
_BYTES = 2 * 2**30
_ON_GPUS = ("auto", "gpu", "cuda")


@dataclass(frozen=True)
class ResourceSlot:
    """Where one task at a time is run."""

    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)
    """Gives its processes the devices of this slot and no others."""

    @property
    def device(self) -> str:
        """The name of its devices; empty for the CPU."""
        return self.environment.get("CUDA_VISIBLE_DEVICES", "")


def split_resources(
    accelerator: str, devices: int, tasks: int, workers: int | None, threads: int | None
) -> list[ResourceSlot]:
    """Return the slots of this machine, one for each of several tasks that is run side by side.

    A task takes so many devices of an accelerator of Lightning's Trainer (auto, cpu, gpu, ...). Without a number of
    ``workers``, which may share a GPU, there is a slot for each such group of GPUs, or for each core; without a number
    of ``threads``, the cores are shared out evenly.

    >>> [slot.threads for slot in split_resources("cpu", 1, 3, 2, threads=1)]
    [1, 1]
    """
    gpus = visible_gpus() if accelerator in _ON_GPUS else []
    groups = [",".join(gpus[at : at + devices]) for at in range(0, len(gpus) - devices + 1, devices)]
    # On the CPU one slot per core, within 2 GiB each. Short trainings (4 of digits, 6 epochs, whole commands) finish
    # 1.42 to 1.48 times as many an hour as one after the other with two threads. Steps alone gain nothing where the
    # machine is quiet (0.99 times at 32x32, 1.05 at 16x16), and 1.48 times where other programs hold threads up.
    cores = torch.get_num_threads()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else _BYTES
    on_cpu = min(cores // (devices * (threads or 1)), memory // _BYTES)
    count = workers or max(1, min(tasks, len(groups) or on_cpu))
    each = threads or max(1, cores // (count * devices))
    shown = [{"CUDA_VISIBLE_DEVICES": group} for group in groups] or [{}]
    return [ResourceSlot(each, {**shown[number % len(shown)], "OMP_NUM_THREADS": str(each)}) for number in range(count)]


def has_bf16_instructions(device: torch.device) -> bool:
    """Return whether bfloat16 is likely to be faster than float32 there: accelerators, and CPUs that multiply it."""
    from naswot_lightning.naswot.compiled.jit import cpu_multiplies_bf16

    return device.type != "cpu" or cpu_multiplies_bf16()


def accelerators(device: str) -> list[dict[str, str]]:
    """Return the environment in which a process has one accelerator to itself, for each of this machine.

    Empty where the name is of the CPU, of one accelerator by its number, or of a kind that is not told apart like that.
    """
    return [{"CUDA_VISIBLE_DEVICES": name} for name in visible_gpus()] if device in ("auto", "cuda") else []


def visible_gpus() -> list[str]:
    """Return the names of this process's GPUs, as ``CUDA_VISIBLE_DEVICES`` has them; no GPU is touched."""
    count = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(count)] if given is None else given.split(",")
    names = [name.strip() for name in names]
    # Of several parts of a GPU a process sees the first alone: each is for a process of its own.
    return names if count and names[0].startswith("MIG-") else names[:count]
