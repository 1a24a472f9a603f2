"""Training that has diverged is over."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from naswot_lightning.callbacks.base import Callback

# On an accelerator, where to look at a loss means to wait for it.
_BATCHES_BETWEEN_LOOKS = 50


class DivergedError(RuntimeError):
    """The loss of a training step was not finite."""


class StopOnDivergence(Callback):
    """Ends training with :class:`DivergedError` once a loss is NaN or infinite, on all processes together.

    The losses are looked at each step on the CPU; on an accelerator every 50 steps, since a look waits for the step.
    The last step of an epoch is always looked at, so that no checkpoint of an epoch holds such weights.
    """

    def __init__(self) -> None:
        self._finite: Tensor | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take in the loss of this step."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        finite = torch.isfinite(loss.detach()).all()
        self._finite = finite if self._finite is None else self._finite & finite
        every = 1 if finite.device.type == "cpu" else _BATCHES_BETWEEN_LOOKS
        if (batch_idx + 1) % every == 0 or batch_idx + 1 == trainer.num_training_batches:
            all_finite = trainer.strategy.reduce_boolean_decision(bool(self._finite), all=True)
            self._finite = None
            if not all_finite:
                raise DivergedError(
                    f"the loss was not finite in epoch {trainer.current_epoch + 1}, by step {trainer.global_step}"
                )
