"""best.ckpt and last.ckpt, each written beside and renamed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.nn import Module
from torch.nn.parameter import is_lazy

from naswot_lightning.errors import UserError
from naswot_lightning.storage.faults import FAULTS
from naswot_lightning.storage.files import atomic_path, remove_unfinished

# Of a checkpoint that a training can continue from.
_PARTS = (
    ("state_dict", dict), ("callbacks", dict), ("loops", dict), ("optimizer_states", list), ("lr_schedulers", list),
    ("epoch", int), ("global_step", int),
)  # fmt: skip


class WholeCheckpointIO(TorchCheckpointIO):
    """Never leaves a part of a checkpoint under its name: a run killed while saving resumes from the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside ``path``, then rename; what killed processes have left beside it goes."""
        remove_unfinished(Path(path))
        with atomic_path(Path(path)) as beside:
            super().save_checkpoint(checkpoint, beside, storage_options)


class _Kept(ModelCheckpoint):
    """Knows its best epoch also where the run folder has been moved, which Lightning's own forgets."""

    @property
    def state_key(self) -> str:
        """The key of Lightning's own, under which older checkpoints hold it."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state with the path of now: what a state names is a file that Lightning removes later."""
        own = str(Path(self.dirpath or "") / f"{self.filename}{self.FILE_EXTENSION}")
        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = {name: own if state_dict[name] else "" for name in names if name in state_dict}
        scores = list(state_dict.get("best_k_models", {}).values())
        best = {own: scores[-1]} if scores else {}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})


def best_and_last(folder: Path, monitor: str | None = "val/acc") -> list[ModelCheckpoint]:
    """Return the callbacks that keep ``best.ckpt`` (highest ``monitor``) and ``last.ckpt`` (every epoch).

    Without a monitor the best is the last epoch. ``save_last`` is not used: beside a monitor it saves the last *best*
    epoch only. The best is saved first, so that the last knows of it.
    """
    shared: dict[str, Any] = {"dirpath": folder, "save_top_k": 1, "enable_version_counter": False}
    return [
        # Its mode also tells its state in a checkpoint from the other's where neither has a monitor.
        _Kept(filename="best", monitor=monitor, mode="max", save_on_train_epoch_end=True, **shared),
        _Kept(filename="last", every_n_epochs=1, save_on_train_epoch_end=True, **shared),
    ]


def checkpoint_to_resume(folder: Path, model: Module) -> Path | None:
    """Return the checkpoint that a training of ``model`` continues from; None to begin at the start.

    That is ``last.ckpt``; where it is damaged, or of another network, ``best.ckpt``, an earlier epoch of the same
    training; where the best epoch is lost the start. What is lost is said in one line: training it again gives the same
    result.
    """
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    if not last.exists() and not best.exists():
        return None
    saved, has_best = _load(last, model), _load(best, model) is not None
    if saved is not None and (has_best or _is_within_first_epoch(saved)):
        return last
    chosen = best if has_best else None
    lost = best.name if saved is not None else last.name
    source = "the start" if chosen is None else chosen.name
    print(f"{folder.name}: {lost} is missing, damaged or of another network; continues from {source}", flush=True)
    return chosen


def _load(path: Path, model: Module) -> dict[str, Any] | None:
    """Return a checkpoint, or None where there is none that can be used."""
    try:
        with open(path, "rb") as file:
            with zipfile.ZipFile(file) as archive:
                # torch packs nothing: 200 kB that unpack to 200 MB are not its own.
                if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                    return None
            file.seek(0)
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        return loaded if all(isinstance(loaded[name], kind) for name, kind in _PARTS) and _fits(loaded, model) else None
    except UserError:
        raise
    except (OSError, *FAULTS):
        return None


def _fits(saved: dict[str, Any], model: Module) -> bool:
    """Return whether a checkpoint holds the weights of this network, by their names and shapes."""
    weights, own = saved["state_dict"], model.state_dict()
    return weights.keys() == own.keys() and all(
        is_lazy(tensor) or getattr(tensor, "shape", None) == getattr(weights[name], "shape", None)
        for name, tensor in own.items()
    )


def _is_within_first_epoch(saved: dict[str, Any]) -> bool:
    """Return whether a checkpoint was saved before the end of the first epoch, when there is no best one yet."""
    state = saved["callbacks"].get("SaveOnSignal")
    return saved["epoch"] == 0 and isinstance(state, dict) and bool(state.get("batches"))
