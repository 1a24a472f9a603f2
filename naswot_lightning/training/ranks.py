"""Picks on several nodes: srun or torchrun starts ``naswot train`` once per device, and each process is a rank."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from naswot_lightning.config import TrainConfig
from naswot_lightning.errors import UserError
from naswot_lightning.training.pick import report_epoch, run_pick
from naswot_lightning.training.progress import Epoch, Outcome, clear_outcome, read_outcome
from naswot_lightning.training.run import raise_or_print
from naswot_lightning.training.trainer import silence_lightning

# What the first rank tells the others to train: the folder of a pick, the images, and what the user trusts.
_Work = tuple[Path, Path, str]


class Ranks:
    """All processes of a job, which train one pick after the other together; the executor of the first of them.

    The first alone plans, writes, logs and compares, as the command does elsewhere; the others train what it names.
    They talk through the process group of Lightning, which the trainings then use.
    """

    def __init__(self, config: TrainConfig) -> None:
        expected, found = config.num_nodes * config.devices, _processes_started()
        if found != expected:
            raise UserError(
                f"--num_nodes {config.num_nodes} --devices {config.devices} needs {expected} processes, started by "
                f"srun or torchrun, but this job has {found}; docs/clusters.md shows both commands"
            )
        silence_lightning()
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        # A result depends on what is said here, not on the environment.
        for name in [name for name in os.environ if name.startswith("PL_TRAINER_")]:
            del os.environ[name]
        # SLURM's word that the time is nearly over; where it is taken, Lightning does not requeue the job in mid-step.
        signal.signal(signal.SIGUSR1, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        try:
            self._fabric = Fabric(
                accelerator=config.accelerator, devices=config.devices, num_nodes=config.num_nodes, strategy="ddp"
            )
            self._fabric.launch()
        except (ValueError, RuntimeError, MisconfigurationException) as error:
            raise UserError(f"--num_nodes {config.num_nodes}: {error}") from None
        self.is_first = self._fabric.is_global_zero
        self._is_whole = True

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the others end, who wait for more."""
        if self._is_whole:
            if self.is_first:
                self._fabric.broadcast(None)
            # Lightning leaves a group of gloo to the end of Python, whose threads can then abort the process.
            torch.distributed.destroy_process_group()

    def run(self, task: Any, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Train the picks of some folders with all processes, as a TrainPick does; yield each with how it ended.

        The first that fails is the last: one process may have failed alone, and the others wait for it.
        """
        for folder in items:
            clear_outcome(folder)
            work = self._fabric.broadcast((folder, task.images, task.trusted))
            with open(folder / "train.log", "a") as log, redirect_stderr(log):
                outcome, _ = self._train(work, task.display.show)
            # Another process may have failed first.
            yield folder, raise_or_print(folder, read_outcome(folder) if outcome.status == "failed" else outcome)
            if not self._is_whole:
                return

    def follow(self) -> int:
        """Train what the first rank names, until there is no more or a pick fails; return the exit code."""
        while (work := self._fabric.broadcast(None)) is not None:
            _, code = self._train(work)
            if not self._is_whole:
                return code
        return 0

    def _train(self, work: _Work, show: Callable[[Epoch], None] = report_epoch) -> tuple[Outcome, int]:
        """Train in this process as in one of its own; return how it ended, and an exit code."""
        handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
        outcome, code = run_pick(*work, show=show)
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        # What all processes come to together.
        self._is_whole = outcome.has_result or outcome.status == "out of time"
        # The run of a pick whose time was up: a process has one at a time.
        if (wandb := sys.modules.get("wandb")) is not None:
            wandb.finish()
        # Modules and their Trainer hold each other, and memory of the device.
        gc.collect()
        return outcome, code


def _processes_started() -> int:
    """Return how many processes srun or torchrun started together; 1 for this one alone, also in a script of sbatch."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["WORLD_SIZE"])
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) if SLURMEnvironment.detect() else 1
