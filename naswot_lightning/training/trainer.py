"""Makes the classifier, the Trainer and its loggers, and the checkpoints best.ckpt and last.ckpt of a pick."""

from __future__ import annotations

import logging
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_only
from torch.nn.parameter import is_lazy

from naswot_lightning.data.dataset import Dataset
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.report.lightning_loggers import TrainerLogger, wandb_logger
from naswot_lightning.report.loggers import LoggedRun, SentOnce, other_loggers
from naswot_lightning.report.wandb.content import define_metrics
from naswot_lightning.report.wandb.runs import resolve_mode, start_run
from naswot_lightning.storage.files import atomic_path, remove_unfinished
from naswot_lightning.storage.foreign import FAULTS
from naswot_lightning.training.classifier import ImageClassifier, has_unused_parameters
from naswot_lightning.training.settings import SavedPick

# Parts of a checkpoint that a training can continue from, with their types.
_PARTS = (
    ("state_dict", dict), ("callbacks", dict), ("loops", dict), ("optimizer_states", list), ("lr_schedulers", list),
    ("epoch", int), ("global_step", int),
)  # fmt: skip


def make_classifier(pick: SavedPick, data: ImageDataModule) -> ImageClassifier:
    """Return the untrained network of a pick with its recipe."""
    settings, dataset, recipe = pick.settings, data.dataset, pick.settings.values
    names = (
        "lr", "momentum", "weight_decay", "optimizer", "label_smoothing", "auxiliary_weight", "drop_path",
        "warmup_epochs",
    )  # fmt: skip
    of_recipe = {name: getattr(recipe, name) for name in names}
    return ImageClassifier(
        settings.space,
        settings.canonical,
        dataset.num_classes,
        list(dataset.mean),
        list(dataset.std),
        dataset.flip if recipe.flip is None else recipe.flip,
        dataset.crop_padding if recipe.crop_padding is None else recipe.crop_padding,
        seed=settings.seed,
        # Gradients that are added up outlive the step, whose memory the next CUDA graph takes.
        compiled=settings.compile if pick.accumulate == 1 else bool(settings.compile),
        image_size=dataset.image_size,
        classes=list(dataset.classes),
        class_weights=balanced_weights(dataset) if recipe.class_weights else None,
        **of_recipe,
    )


def balanced_weights(dataset: Dataset) -> list[float]:
    """Return a weight per class with which all classes count alike: N / (C N_c); 0 for one without training images."""
    counts = torch.bincount(dataset.train.labels, minlength=dataset.num_classes)
    weights = len(dataset.train) / (dataset.num_classes * counts.double())
    return [float(weight) if count else 0.0 for weight, count in zip(weights, counts, strict=True)]


def choose_strategy(pick: SavedPick, model: ImageClassifier, data: ImageDataModule) -> str:
    """Return Lightning's strategy; DDP must be told if some parameters do not reach the output."""
    settings = pick.settings
    # Of several devices, Lightning's own choice is DDP.
    is_ddp = settings.strategy == "ddp" or (settings.strategy == "auto" and settings.processes > 1)
    if is_ddp and has_unused_parameters(model, data.dataset.image_size):
        if is_first_process():
            print(
                f"{pick.run.name}: some parameters do not affect the output, so DDP searches for them in each step",
                flush=True,
            )
        return "ddp_find_unused_parameters_true"
    return settings.strategy


def make_trainer(folder: Path, pick: SavedPick, callbacks: list[pl.Callback], strategy: str) -> pl.Trainer:
    """Return the Trainer of the pick of ``folder``; ``strategy`` is that of :func:`choose_strategy`."""
    settings, run = pick.settings, pick.run

    def start() -> Any:
        started = start_run(run.mode, logged, shown)
        if started is not None:
            define_metrics(started)
        return started

    shown = {**settings.to_plain(), "accumulate": pick.accumulate}
    # All runs of a run folder lie side by side, so that one viewer shows them together.
    logged = LoggedRun(folder.parent.parent, run.project, run.group, run.name, run.id, "train")
    sent = other_loggers(run.logger, logged)
    if resolve_mode(run.mode) != "disabled":
        sent.append(SentOnce("wandb", logged, lambda: wandb_logger(start), folder / ".sent.json"))
    loggers = [TrainerLogger(each, shown, run.name) for each in sent]
    arguments: dict[str, Any] = {
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "enable_model_summary": False,
        "enable_progress_bar": sys.stderr.isatty(),
        "accumulate_grad_batches": pick.accumulate,
        # SaveOnSignal ends a training whose time is up, with a checkpoint of the last step.
        **{name: value for name, value in settings.trainer.items() if name != "max_time"},
    }
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        precision=settings.precision,  # type: ignore[arg-type]
        deterministic=settings.deterministic,
        max_epochs=settings.values.epochs,
        gradient_clip_val=settings.values.gradient_clip,
        strategy=strategy,
        default_root_dir=folder,
        callbacks=callbacks,
        logger=loggers or False,
        plugins=[AtomicCheckpointIO()],
        # The data module deals the images out to processes, in the order of one process.
        use_distributed_sampler=False,
        **arguments,
    )


def is_first_process() -> bool:
    """Return whether this is the first of the processes that train a pick, also before they are connected."""
    return rank_zero_only.rank == 0  # type: ignore[attr-defined]


def silence_lightning() -> None:
    """Silence messages of Lightning about each training, and warnings that do not apply."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # The images are in memory: a worker process would only copy them.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # Lightning's own call, with torch >= 2.14.
    warnings.filterwarnings("ignore", ".*LeafSpec.*is deprecated.*")
    warnings.filterwarnings("ignore", ".*all_gather is deprecated.*")
    # The empty list of a data set without validation.
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Never leaves a part of a checkpoint under its name: a run killed while saving resumes from the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside ``path``, then rename; what killed processes have left beside it goes."""
        remove_unfinished(Path(path))
        with atomic_path(Path(path)) as beside:
            super().save_checkpoint(checkpoint, beside, storage_options)


class RelocatableModelCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint that knows its best epoch also where the run folder has been moved."""

    @property
    def state_key(self) -> str:
        """The key of Lightning's own class: the name of this one must not decide which state is found."""
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

    Without a monitor the best is the last epoch.
    """
    shared: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False, "save_on_train_epoch_end": True}
    # Not by ``save_last``: beside a monitor it saves the last *best* epoch only. The last knows of the best before it.
    return [
        # Its mode also tells its state in a checkpoint from the other's where neither has a monitor.
        RelocatableModelCheckpoint(filename="best", monitor=monitor, mode="max", **shared),
        RelocatableModelCheckpoint(filename="last", every_n_epochs=1, **shared),
    ]


def checkpoint_to_resume(folder: Path, model: ImageClassifier) -> Path | None:
    """Return the checkpoint that a training of ``model`` continues from; None to begin at the start.

    That is ``last.ckpt``; where it is damaged, or of another network, ``best.ckpt``, an earlier epoch; where the best
    epoch is lost the start. What is lost is said in one line: training it again gives the same result.
    """
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    if not last.exists() and not best.exists():
        return None
    saved, has_best = _load(last, model), _load(best, model) is not None
    if saved is not None:
        # Saved on a signal within the first epoch, when there is no best one yet.
        state = saved["callbacks"].get("SaveOnSignal")
        if has_best or (saved["epoch"] == 0 and isinstance(state, dict) and state.get("batches")):
            return last
    chosen = best if has_best else None
    lost = best.name if saved is not None else last.name
    source = "the start" if chosen is None else chosen.name
    if is_first_process():
        print(f"{folder.name}: {lost} is missing, damaged or of another network; continuing from {source}", flush=True)
    return chosen


def _load(path: Path, model: ImageClassifier) -> dict[str, Any] | None:
    """Return a checkpoint, or None where there is none that holds the weights of this network, by name and shape."""
    own = model.state_dict()
    try:
        with zipfile.ZipFile(path) as archive:
            # torch packs nothing: 200 kB that unpack to 200 MB are not its own.
            if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                return None
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        weights = saved["state_dict"]
        fits = weights.keys() == own.keys() and all(
            is_lazy(tensor) or weights[name].shape == tensor.shape for name, tensor in own.items()
        )
        return saved if fits and all(isinstance(saved[name], kind) for name, kind in _PARTS) else None
    except (OSError, *FAULTS):
        return None
