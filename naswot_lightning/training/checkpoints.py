"""best.ckpt and last.ckpt, each written beside and renamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint

from naswot_lightning.storage.files import written_beside


class WholeCheckpointIO(TorchCheckpointIO):
    """Never leaves a part of a checkpoint under its name: a run killed while saving resumes from the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside ``path``, then rename."""
        with written_beside(Path(path)) as beside:
            super().save_checkpoint(checkpoint, beside, storage_options)


def best_and_last(folder: Path, monitor: str | None = "val/acc") -> list[ModelCheckpoint]:
    """Return the callbacks that keep ``best.ckpt`` (highest ``monitor``) and ``last.ckpt`` (every epoch).

    Without a monitor the best is the last epoch. ``save_last`` is not used: beside a monitor it saves the last *best*
    epoch only. The best is saved first, so that the last knows of it.
    """
    shared: dict[str, Any] = {"dirpath": folder, "save_top_k": 1, "enable_version_counter": False}
    return [
        # Its mode also tells its state in a checkpoint from the other's where neither has a monitor.
        ModelCheckpoint(filename="best", monitor=monitor, mode="max", save_on_train_epoch_end=True, **shared),
        ModelCheckpoint(filename="last", every_n_epochs=1, save_on_train_epoch_end=True, **shared),
    ]
