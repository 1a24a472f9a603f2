"""One pick, trained in a process of its own: ``python -m naswot_lightning.pick FOLDER [IMAGES]``."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch

from callbacks import (
    DivergedError,
    MetricsTable,
    SaveOnSignal,
    ScoreTrajectory,
    StopOnDivergence,
    TrainingInterrupted,
)
from naswot_lightning import tracking
from naswot_lightning.checkpoints import WholeCheckpointIO, best_and_last
from naswot_lightning.classifier import ImageClassifier, has_unused_parameters
from naswot_lightning.config import WandbConfig
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.data.storage import map_dataset
from naswot_lightning.errors import UserError, describe_os_error
from naswot_lightning.storage.files import locked, write_whole
from naswot_lightning.picks import EXIT_INTERRUPTED, EXIT_OUT_OF_MEMORY, read_pick
from naswot_lightning.process import tune_process
from naswot_lightning.recipes import describe_recipe
from naswot_lightning.sent_once import SentOnceLogger
from spaces import SpaceError, get_space

Settings = dict[str, Any]

_PATIENCE_SECONDS = 60.0


def train_pick(folder: Path, images: Path | None = None) -> Settings:
    """Train the pick whose settings lie in ``folder``, continuing from its last checkpoint.

    Args:
        folder: of the pick.
        images: the stored data set, instead of loading it again.

    Returns:
        What was written to ``result.json``; its status is "ok", or "diverged" where a loss was not finite.
    """
    settings = read_pick(folder)
    data = _data(settings, images)
    pl.seed_everything(settings["seed"], verbose=False)
    model = _classifier(settings, data)
    trajectory = ScoreTrajectory(
        data.probe(settings["probe_batch_size"], settings["probe_seed"]).images,
        settings["early_points"],
        csv_path=folder / "trajectory.csv",
    )
    metrics = MetricsTable(folder / "metrics.csv", announce=_announcer(settings))
    checkpoints = best_and_last(folder, None if data.dataset.val is None else "val/acc")
    last = folder / "last.ckpt"
    callbacks = [StopOnDivergence(), trajectory, metrics, *checkpoints, SaveOnSignal(last)]
    trainer = _trainer(folder, settings, callbacks, _strategy(settings, model, data))
    try:
        trainer.fit(model, data, ckpt_path=last if last.exists() else None)
    except DivergedError as error:
        result = _described(settings, data, trajectory.rows, metrics.rows)
        result |= {
            "best_val_acc": None,
            "test_acc": None,
            "test_loss": None,
            "status": "diverged",
            "reason": str(error),
        }
        if trainer.is_global_zero:
            print(f"{settings['wandb']['name']}: diverged, {error}", flush=True)
    else:
        # Before the test, which loads the callbacks' states of the best epoch along with its weights.
        result = _described(settings, data, trajectory.rows, metrics.rows)
        tested = trainer.test(model, data, ckpt_path=folder / "best.ckpt", verbose=False)[0]
        result |= {"test_acc": tested["test/acc"], "test_loss": tested["test/loss"], "status": "ok", "reason": None}
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            logger.experiment.finish()  # type: ignore[attr-defined]
        write_whole(folder / "result.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


def _data(settings: Settings, images: Path | None) -> ImageDataModule:
    return ImageDataModule(
        settings["dataset"],
        settings["data_dir"],
        settings["batch_size"] // settings["devices"] // settings["accumulate"],
        settings["seed"],
        settings["image_size"],
        settings["split_file"],
        None if images is None else map_dataset(images),
    )


def _classifier(settings: Settings, data: ImageDataModule) -> ImageClassifier:
    dataset = data.dataset
    return ImageClassifier(
        settings["space"],
        settings["canonical"],
        dataset.num_classes,
        list(dataset.mean),
        list(dataset.std),
        dataset.flip,
        dataset.crop_padding,
        **{name: settings[name] for name in ("lr", "momentum", "weight_decay", "seed", "optimizer")},
        **{name: settings[name] for name in ("label_smoothing", "auxiliary_weight", "drop_path")},
        compiled=settings["compile"],
    )


def _strategy(settings: Settings, model: ImageClassifier, data: ImageDataModule) -> str:
    """Return Lightning's strategy; DDP must be told of parameters that have no part in the output."""
    if settings["strategy"] == "ddp" and has_unused_parameters(model, data.dataset.image_size):
        return "ddp_find_unused_parameters_true"
    return str(settings["strategy"])


def _trainer(folder: Path, settings: Settings, callbacks: list[pl.Callback], strategy: str) -> pl.Trainer:
    arguments = {
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        "enable_progress_bar": sys.stderr.isatty(),
        "accumulate_grad_batches": settings["accumulate"],
        **{name: settings[name] for name in ("accelerator", "devices", "precision", "deterministic")},
        **settings["trainer"],
    }
    return pl.Trainer(
        max_epochs=settings["epochs"],
        gradient_clip_val=settings["gradient_clip"],
        strategy=strategy,
        default_root_dir=folder,
        callbacks=callbacks,
        logger=_logger(folder, settings),
        plugins=[WholeCheckpointIO()],
        log_every_n_steps=1,
        **arguments,
    )


def _logger(folder: Path, settings: Settings) -> Any:
    wandb = dict(settings["wandb"])
    config = WandbConfig(wandb.pop("mode"), wandb.pop("project"), wandb["group"])
    if tracking.resolve_mode(config.mode) == "disabled":
        return False
    shown = {name: value for name, value in settings.items() if name != "wandb"}

    def start() -> Any:
        # All runs of a run folder lie side by side, so that one viewer shows them together.
        return tracking.start_run(config, folder.parent.parent, shown, job_type="train", **wandb)

    return SentOnceLogger(start, folder / ".sent.json")


def _announcer(settings: Settings) -> Any:
    def announce(row: Settings) -> None:
        score, accuracy = row.get("score/naswot"), row.get("val/acc")
        print(
            f"{settings['wandb']['name']}: epoch {row['epoch']}/{settings['epochs']}  "
            f"train loss {row['train/loss']:.4f}  "
            f"{'' if accuracy is None else f'val acc {100 * accuracy:.2f} %  '}"
            f"score {'-' if score is None else f'{score:.2f}'}  {row['seconds']:.1f} s",
            flush=True,
        )

    return announce


def _described(
    settings: Settings, data: ImageDataModule, trajectory: Sequence[Settings], metrics: Sequence[Settings]
) -> Settings:
    space, dataset = get_space(settings["space"]), data.dataset
    size = space.complexity(settings["canonical"], dataset.num_classes, image_size=dataset.image_size)
    shown = ("rank", "space", "architecture", "canonical", "dataset", "seed", "epochs", "accumulate")
    return {
        **{name: settings[name] for name in shown},
        "recipe": describe_recipe(settings),
        "score_init": trajectory[0]["score"],
        "score_final": trajectory[-1]["score"],
        "val_set": dataset.val_name,
        "test_set": dataset.test_name,
        "best_val_acc": max((row["val/acc"] for row in metrics if "val/acc" in row), default=None),
        "params": size.params,
        "macs": size.macs,
        "seconds": round(sum(row["seconds"] for row in metrics), 3),
        "versions": {"torch": torch.__version__, "pytorch_lightning": pl.__version__},
    }


def _end_with_parent() -> None:
    """Save and end when the parent ends, however it does: its end of our standard input then closes."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_PATIENCE_SECONDS)
        os._exit(EXIT_INTERRUPTED)  # waiting for another process, which is gone

    threading.Thread(target=watch, daemon=True).start()


def _interrupt(signum: int, frame: object) -> NoReturn:
    raise TrainingInterrupted


def _quieten() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # The images are in memory: a worker process would only copy them.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*LeafSpec.*is deprecated.*")  # Lightning's own call, with torch >= 2.14
    # The empty list of a data set without validation.
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")


def _is_first_process() -> bool:
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def _is_out_of_memory(error: BaseException) -> bool:
    allocator = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return allocator or isinstance(error, MemoryError | torch.OutOfMemoryError)


def main(folder: Path, images: Path | None = None) -> int:
    """Train the pick of ``folder``; return 0, or 2 with one line on stderr for a user's mistake."""
    tune_process()
    signal.signal(signal.SIGTERM, _interrupt)
    _end_with_parent()
    _quieten()
    try:
        # A command that was killed leaves a pick that ends within a training step. Of several processes the first
        # holds the folder.
        with locked(folder, patience=_PATIENCE_SECONDS) if _is_first_process() else nullcontext():
            train_pick(folder, images)
    except (UserError, SpaceError) as error:
        print(f"train.py: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"train.py: error: {describe_os_error(error)}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, TrainingInterrupted):
        return EXIT_INTERRUPTED
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        traceback.print_exc()
        return EXIT_OUT_OF_MEMORY
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
