"""The engine of this machine: one task after the other here, or side by side in processes."""

from __future__ import annotations

import torch

from naswot_lightning.errors import UserError
from naswot_lightning.execution.automatic import Automatic
from naswot_lightning.execution.base import Executor
from naswot_lightning.execution.processes import MOST_WORKERS, Processes
from naswot_lightning.execution.serial import Serial


def local_executor(workers: int | None, device: torch.device) -> Executor:
    """Return this process, processes, or what is quicker of both where no number is asked for.

    Raises:
        UserError: several workers would share an accelerator.
    """
    if workers is not None and workers > 1 and device.type != "cpu":
        raise UserError(f"--workers {workers} on {device}: workers are for the CPU; leave it out")
    if workers == 1 or device.type != "cpu":
        return Serial()
    return Automatic(min(torch.get_num_threads(), MOST_WORKERS)) if workers is None else Processes(workers)
