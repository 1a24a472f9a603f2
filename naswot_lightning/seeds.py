"""Seeds that belong to a thing, not to the order in which things are done."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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
    """Seed torch's default generator of one device."""
    import torch

    # ``torch.manual_seed`` seeds those of all kinds of devices, absent ones too: 1 ms per training step.
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
        return
    module = torch.get_device_module(device)
    # That of the current device, which may be another one; MPS has one device.
    with module.device(device) if device.index is not None and hasattr(module, "device") else nullcontext():
        module.manual_seed(seed)


# ``seed``: of the block of renewed_generators that this thread is in.
_renewed = threading.local()


@contextmanager
def generators_restored(device: torch.device) -> Iterator[None]:
    """Restore the states of Python's, numpy's and torch's generators (those of ``device`` too) at the end."""
    import numpy as np
    import torch

    seed = getattr(_renewed, "seed", None)
    if seed is not None:
        _renewed.seed = None
        try:
            yield
        finally:
            _renewed.seed = seed
            _seed_all(seed, device)
        return
    python, legacy, cpu = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    accelerated = device.type not in ("cpu", "meta")
    with torch.random.fork_rng([device], device_type=device.type) if accelerated else nullcontext():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)
            torch.default_generator.set_state(cpu)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within the block all global generators start from ``seed``; afterwards they are as before."""
    with generators_restored(device):
        _seed_all(seed, device)
        yield


@contextmanager
def renewed_generators(seed: int, device: torch.device) -> Iterator[None]:
    """As :func:`seeded`; and after each inner block that restores the generators, they start from ``seed`` again."""
    # For code that draws within such blocks alone, which is then the same: to seed all takes 10 us, to read and restore
    # numpy's generator alone 50.
    with seeded(seed, device):
        _renewed.seed = seed
        try:
            yield
        finally:
            _renewed.seed = None


def _seed_all(seed: int, device: torch.device) -> None:
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    seed_device(torch.device("cpu"), seed)
    if device.type not in ("cpu", "meta"):
        seed_device(device, seed)
