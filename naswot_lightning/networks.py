"""From an architecture to an untrained network, with weights of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
from torch import nn

from naswot_lightning.errors import UserError
from naswot_lightning.naswot.isolation import all_modules
from naswot_lightning.seeds import derived_seed, seeded
from naswot_lightning.spaces import Space


def get_device(name: str) -> torch.device:
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
        raise UserError(f"--device {name}: {reason}; use auto, cpu, or a device of this machine") from None
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
    return network if device.type == "cpu" else network.to(device)


@contextmanager
def alarms_raised() -> Iterator[None]:
    """Let an alarm that a network sets raise an error while it runs, and not end the process, nor ring later."""
    ours = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
        yield
        return

    def ring(signum: int, frame: object) -> NoReturn:
        raise TimeoutError("an alarm that the network set (SIGALRM)")

    signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
