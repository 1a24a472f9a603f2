"""Seeds that belong to a thing, not to the order in which things are done."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derived_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on ``parts`` alone: the same in every process and version.

    >>> derived_seed(0, "nasbench201", "a"), derived_seed(0, "nasbench201", "b")
    (4461276834609797302, 8262696633578030452)
    """
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_device(device: torch.device, seed: int) -> None:
    """Seed torch's default generator of one device.

    ``torch.manual_seed`` seeds those of all kinds of devices, absent ones too: 1 ms a training step.
    """
    import torch

    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.get_device_module(device).manual_seed(seed)


@contextmanager
def generators_restored(device: torch.device) -> Iterator[None]:
    """Restore the states of Python's, numpy's and torch's generators (those of ``device`` too) at the end."""
    import numpy as np
    import torch

    python, legacy = random.getstate(), np.random.get_state()
    devices = [device] if device.type not in ("cpu", "meta") else []
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within the block all global generators start from ``seed``; afterwards they are as before."""
    import numpy as np
    import torch

    with generators_restored(device):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        for each in {torch.device("cpu"), device}:
            seed_device(each, seed)
        yield
