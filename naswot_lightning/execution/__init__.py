"""Many independent tasks: on this machine, and on whatever else can run them, by the names of ``--engine``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from naswot_lightning.registry import resolve

if TYPE_CHECKING:
    from naswot_lightning.execution.base import Executor, ResourceRequest

ENGINES = {
    "local": "naswot_lightning.execution.local:local_executor",
    "ray": "naswot_lightning.execution.ray:RayExecutor",
    "slurm": "naswot_lightning.execution.slurm:SlurmExecutor",
}


def get_engine(name: str) -> Callable[[ResourceRequest], Executor]:
    """Return what makes an executor for a request; it raises UserError where the engine cannot do what is asked."""
    made: Callable[[ResourceRequest], Executor] = resolve("engine", name, ENGINES)
    return made
