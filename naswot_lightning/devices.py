"""Which device runs the networks."""

from __future__ import annotations

import torch

from naswot_lightning.errors import UserError


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
