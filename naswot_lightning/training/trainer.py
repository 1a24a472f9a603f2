"""What a pick is trained with: the classifier, the Trainer, the wandb logger."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.report.wandb.content import define_metrics
from naswot_lightning.report.wandb.logger import SentOnceLogger
from naswot_lightning.report.wandb.runs import resolve_mode, start_run
from naswot_lightning.training.checkpoints import WholeCheckpointIO
from naswot_lightning.training.classifier import ImageClassifier, has_unused_parameters
from naswot_lightning.training.settings import SavedPick


def make_classifier(pick: SavedPick, data: ImageDataModule) -> ImageClassifier:
    """Return the untrained network of a pick with its recipe."""
    settings, dataset = pick.settings, data.dataset
    recipe = settings.values
    return ImageClassifier(
        settings.space,
        settings.canonical,
        dataset.num_classes,
        list(dataset.mean),
        list(dataset.std),
        dataset.flip,
        dataset.crop_padding,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        seed=settings.seed,
        optimizer=recipe.optimizer,
        label_smoothing=recipe.label_smoothing,
        auxiliary_weight=recipe.auxiliary_weight,
        drop_path=recipe.drop_path,
        compiled=settings.compile,
    )


def choose_strategy(pick: SavedPick, model: ImageClassifier, data: ImageDataModule) -> str:
    """Return Lightning's strategy; DDP must be told of parameters that have no part in the output."""
    if pick.settings.strategy == "ddp" and has_unused_parameters(model, data.dataset.image_size):
        return "ddp_find_unused_parameters_true"
    return pick.settings.strategy


def make_trainer(folder: Path, pick: SavedPick, callbacks: list[pl.Callback], strategy: str) -> pl.Trainer:
    """Return the Trainer of a pick.

    Args:
        folder: of the pick.
        pick: its settings.
        callbacks: all of them.
        strategy: of :func:`choose_strategy`.
    """
    settings = pick.settings
    arguments: dict[str, Any] = {
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "enable_model_summary": False,
        "enable_progress_bar": sys.stderr.isatty(),
        "accumulate_grad_batches": pick.accumulate,
        **{name: value for name, value in settings.trainer.items() if name != "max_time"},  # see SaveOnSignal
    }
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        precision=settings.precision,  # type: ignore[arg-type]
        deterministic=settings.deterministic,
        max_epochs=settings.values.epochs,
        gradient_clip_val=settings.values.gradient_clip,
        strategy=strategy,
        default_root_dir=folder,
        callbacks=callbacks,
        logger=_logger(folder, pick),
        plugins=[WholeCheckpointIO()],
        **arguments,
    )


def _logger(folder: Path, pick: SavedPick) -> Any:
    run = pick.run
    if resolve_mode(run.mode) == "disabled":
        return False
    shown = {**pick.settings.to_plain(), "accumulate": pick.accumulate}

    def start() -> Any:
        # All runs of a run folder lie side by side, so that one viewer shows them together.
        named = {"id": run.id, "name": run.name, "group": run.group, "job_type": "train"}
        started = start_run(run.mode, run.project, folder.parent.parent, shown, **named)
        if started is not None:
            define_metrics(started)
        return started

    return SentOnceLogger(start, folder / ".sent.json")


def quieten() -> None:
    """Silence what Lightning says of each training, and warnings that say nothing of ours."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # The images are in memory: a worker process would only copy them.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*LeafSpec.*is deprecated.*")  # Lightning's own call, with torch >= 2.14
    # The empty list of a data set without validation.
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
