"""Preemption, and the end of the time that there is: save first, then end."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytorch_lightning as pl

from naswot_lightning.callbacks.base import Callback

_BATCHES_BETWEEN_LOOKS = 10


class TrainingInterrupted(Exception):
    """Training was ended before its end; the checkpoint holds everything up to the last step."""

    def __init__(self, out_of_time: bool = False) -> None:
        super().__init__()
        self.out_of_time = out_of_time
        """By its own limit, not by a signal."""


class SaveOnSignal(Callback):
    """On SIGTERM (preemption), SIGINT or when time is up saves a checkpoint after the step at hand, then ends training.

    Training continues with the next mini-batch, where the training DataLoader has a method
    ``load_state_dict({"given": mini-batches to leave out})``. Several processes agree on the step, one of every ten. A
    second signal ends training at once. The end of an epoch (its last step, validation and checkpoints) is finished
    first. Give it as the last callback, so that the checkpoint has what the others did in that step.

    Args:
        path: the checkpoint.
        seconds: of training until time is up, each time that it is started; None for no limit.

    Raises:
        TrainingInterrupted: out of ``Trainer.fit``, when the checkpoint is written.
    """

    def __init__(self, path: str | Path, seconds: float | None = None) -> None:
        self.path = Path(path)
        self.seconds = seconds
        self._deadline = math.inf
        self._received = False
        self._batches = 0

    def state_dict(self) -> dict[str, Any]:
        """Return how many mini-batches of its epoch a checkpoint of this callback's holds; 0 for all others."""
        return {"batches": self._batches}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the number of the checkpoint."""
        self._batches = int(state_dict.get("batches", 0))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals; Lightning, whose own handlers wait for other processes, gives them back in the end."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._note)
        if self.seconds is not None:
            self._deadline = time.monotonic() + self.seconds
        if self._batches:
            # Lightning restores a loader's state with the checkpoints of some moments only, not of this one.
            loader: Any = trainer.train_dataloader
            loader.load_state_dict({"given": self._batches})
            self._batches = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End before a new epoch; the one before has its checkpoint."""
        if self._must_end(trainer):
            self._end(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and end, unless gradients are still being added up for the step or the epoch ends."""
        last = batch_idx + 1 == trainer.num_training_batches
        if last or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        # Several processes ask each other, which takes a wait.
        if trainer.world_size > 1 and (batch_idx + 1) % _BATCHES_BETWEEN_LOOKS:
            return
        if self._must_end(trainer):
            self._batches = batch_idx + 1
            trainer.save_checkpoint(self.path)
            self._end(trainer)

    def _must_end(self, trainer: pl.Trainer) -> bool:
        ended = self._received or time.monotonic() >= self._deadline
        return trainer.strategy.reduce_boolean_decision(ended, all=False)

    def _end(self, trainer: pl.Trainer) -> NoReturn:
        # All processes say the same, also where one alone had the signal.
        raise TrainingInterrupted(out_of_time=not trainer.strategy.reduce_boolean_decision(self._received, all=False))

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._received:
            raise TrainingInterrupted
        self._received = True
