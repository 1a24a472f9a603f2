"""The engine of this machine: one task after the other here, or side by side in processes."""

from __future__ import annotations

import torch

from naswot_lightning.devices import accelerators
from naswot_lightning.execution.automatic import Automatic
from naswot_lightning.execution.base import Executor, Request
from naswot_lightning.execution.processes import MOST_WORKERS, Processes
from naswot_lightning.execution.serial import Serial
from naswot_lightning.execution.threads import Threads


def local_executor(request: Request) -> Executor:
    """Return this process, threads that wait for processes, or processes.

    Where no number of workers is asked for, a process a core or an accelerator, if they are worth their start.
    """
    if request.apart:
        return Threads(request.places)
    environments = accelerators(request.device) or [{}]
    if request.workers == 1 or (request.device.type != "cpu" and request.workers is None and len(environments) == 1):
        return Serial()
    most = torch.get_num_threads() if request.device.type == "cpu" else len(environments)
    processes = Processes(request.workers or min(most, MOST_WORKERS), environments, request.timeout)
    return Automatic(processes) if request.workers is None else processes
