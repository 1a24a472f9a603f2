"""Many independent tasks: on this machine, and on whatever else can run them, by the names of ``--engine``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from naswot_lightning.registry import resolve

if TYPE_CHECKING:
    from naswot_lightning.execution.base import Executor, ResourceRequest

# The registry: a name, and where its constructor is.
ENGINES = {
    "local": "naswot_lightning.execution.local:local_executor",
    "ray": "naswot_lightning.execution.ray:ray_executor",
    "slurm": "naswot_lightning.execution.slurm:slurm_executor",
}


class MakesExecutor(Protocol):
    """The constructor of an executor."""

    def __call__(self, request: ResourceRequest, /) -> Executor:
        """Return an executor for what is asked; UserError where this engine cannot do it."""
        ...


def get_engine(name: str) -> MakesExecutor:
    """Return the constructor of the executors of that engine.

    Raises:
        UserError: no such engine; the message lists the names.
    """
    made: MakesExecutor = resolve("engine", name, ENGINES)
    return made
