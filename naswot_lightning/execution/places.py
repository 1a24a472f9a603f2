"""The share of this machine that each of several trainings has: its devices and its threads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from naswot_lightning.devices import visible_gpus

_BYTES = 2 * 2**30  # of a process that trains: torch takes 0.5 GB, a network of NAS-Bench-201 and its batch 0.6 GB
_ON_GPUS = ("auto", "gpu", "cuda")


@dataclass(frozen=True)
class Place:
    """Where one task at a time is run.

    Attributes:
        threads: of each of its processes.
        environment: that gives its processes the devices of this place and no others.
    """

    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)


def share_out(accelerator: str, devices: int, tasks: int, workers: int | None, threads: int | None) -> list[Place]:
    """Return the places of this machine, one for each task that is run side by side.

    Left to it, there is one for each ``devices`` GPUs; on the CPU one a core with one thread, within 2 GiB each. Short
    trainings (4 of digits, 6 epochs, whole commands) finish 1.42 to 1.48 times as many an hour as one after the other
    with two threads. Steps alone gain nothing where the machine is quiet (0.99 times at 32x32, 1.05 at 16x16), and 1.48
    times where other programs hold the threads of one step up.

    Args:
        accelerator: of Lightning's Trainer: auto, cpu, gpu, ...
        devices: how many of them a task takes together.
        tasks: how many there are.
        workers: how many places; several may share a GPU.
        threads: of each process; by default the cores, shared out evenly.

    >>> [place.threads for place in share_out("cpu", 1, 3, 2, threads=1)]
    [1, 1]
    """
    gpus = visible_gpus() if accelerator in _ON_GPUS else []
    groups = [",".join(gpus[at : at + devices]) for at in range(0, len(gpus) - devices + 1, devices)]
    cores = torch.get_num_threads()
    count = workers or max(1, min(tasks, len(groups) or _most_on_cpu(cores, devices * (threads or 1))))
    each = threads or max(1, cores // (count * devices))
    shown = [{"CUDA_VISIBLE_DEVICES": group} for group in groups] or [{}]
    return [Place(each, {**shown[number % len(shown)], "OMP_NUM_THREADS": str(each)}) for number in range(count)]


def _most_on_cpu(cores: int, threads: int) -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else _BYTES
    return min(cores // threads, memory // _BYTES)
