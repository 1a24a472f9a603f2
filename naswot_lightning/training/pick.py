"""One pick, trained in a process of its own: ``python -m naswot_lightning.training.pick FOLDER [IMAGES [SPACE]]``."""

# ruff: noqa: E402 - before the libraries are imported, which takes seconds, the parent is watched

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60.0
EXIT_INTERRUPTED = 130


def end_with_parent() -> None:
    """Send ourselves SIGTERM when the parent ends, however it does: its end of our standard input then closes.

    Until a handler is set, which saves, there is nothing to save, and SIGTERM ends the process at once.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE_SECONDS)
        # Still here: it waits for another process, which is gone.
        os._exit(EXIT_INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    # Also while the libraries are loaded, which takes seconds.
    end_with_parent()

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException

from naswot_lightning.analysis.results import CONTROL, Confusion, TrainingResult
from naswot_lightning.callbacks import (
    DivergedError,
    MetricsTable,
    SaveOnSignal,
    ScoreTrajectory,
    StopOnDivergence,
    TrainingInterrupted,
)
from naswot_lightning.data.dataset import map_dataset
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.errors import Fault, UserError, describe_error, describe_os_error, fault_kind
from naswot_lightning.execution.worker import tune_process
from naswot_lightning.report.lightning_loggers import TrainerLogger
from naswot_lightning.report.wandb.content import log_result, training_summary
from naswot_lightning.report.wandb.runs import send
from naswot_lightning.spaces import SpaceError, known_space, trust
from naswot_lightning.storage.files import lock_folder
from naswot_lightning.training.classifier import ImageClassifier
from naswot_lightning.training.progress import EXIT_OS_ERROR, Ending, Epoch, Outcome, read_outcome
from naswot_lightning.training.settings import SavedPick, read_pick, seconds_of
from naswot_lightning.training.trainer import (
    best_and_last,
    checkpoint_to_resume,
    choose_strategy,
    is_first_process,
    make_classifier,
    make_trainer,
    silence_lightning,
)


class ReportMachineFault(pl.Callback):
    """Writes the outcome of a machine fault before the other processes see the connection close."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write the outcome."""
        outcome, _ = classify_error(exception)
        if outcome.is_of_machine:
            outcome.write(self._folder)


def report_epoch(epoch: Epoch) -> None:
    """Print an epoch as a line that the command reads."""
    print(epoch.to_line(), flush=True)


def train_pick(
    folder: Path, images: Path | None = None, show: Callable[[Epoch], None] = report_epoch
) -> TrainingResult:
    """Train the pick of a folder, continuing from its last checkpoint; return what ``result.json`` then holds.

    The data set is that of the file ``images``, or loaded again.
    """
    pick = read_pick(folder)
    settings = pick.settings
    per_device = settings.values.batch_size // settings.processes // pick.accumulate
    dataset = None if images is None else map_dataset(images)
    of_images = (settings.seed, settings.image_size, settings.split_file, dataset)
    data = ImageDataModule(settings.dataset, settings.data_dir, per_device, *of_images)
    pl.seed_everything(settings.seed, verbose=False)
    model = make_classifier(pick, data)
    probe = data.probe(settings.probe_batch_size, settings.probe_seed, settings.probe_split)
    trajectory = ScoreTrajectory(
        probe.images, settings.early_points, csv_path=folder / "trajectory.csv", batch_norm=settings.score_batch_norm,
        units=settings.units,
    )  # fmt: skip

    def announce(row: dict[str, Any]) -> None:
        score = row.get("score/naswot")
        # Minus infinity, where different images have one code, is no JSON.
        score = score if score is not None and math.isfinite(score) else None
        measured = row["train/loss"], row.get("val/acc"), score, row["seconds"]
        show(Epoch(pick.run.name, row["epoch"], settings.values.epochs, *measured))

    metrics = MetricsTable(folder / "metrics.csv", announce)
    checkpoints = best_and_last(folder, None if data.dataset.val is None else "val/acc")
    end = SaveOnSignal(folder / "last.ckpt", seconds_of(settings.trainer.get("max_time")))
    callbacks = [ReportMachineFault(folder), StopOnDivergence(), trajectory, metrics, *checkpoints, end]
    trainer = make_trainer(folder, pick, callbacks, choose_strategy(pick, model, data))
    result = _fit(trainer, model, data, folder, lambda: _describe(pick, data, trajectory, metrics))
    if trainer.is_global_zero:
        best = folder / "best.ckpt" if pick.run.artifacts and result.status == "ok" else None
        last = metrics.rows[-1] if metrics.rows else {}
        for sent in (each.sent for each in trainer.loggers if isinstance(each, TrainerLogger)):
            if sent.name != "wandb":
                sent.show({}, training_summary(result), trainer.global_step, files=[] if best is None else [best])
                sent.finish()
            elif (shown := sent.call(lambda logger: logger.experiment)) is not None:
                send(shown, lambda run: log_result(run, result, last, best))
        if model.confusion is not None:
            Confusion(tuple(data.dataset.classes), model.confusion.numpy()).write(folder)
        result.write(folder)
        if result.status == "diverged":
            print(f"{pick.run.name}: diverged, {result.reason}", flush=True)
    return result


def _fit(
    trainer: pl.Trainer, model: ImageClassifier, data: ImageDataModule, folder: Path, describe: Callable[[], Any]
) -> TrainingResult:
    """Train and test; ``describe`` returns the fields of the result that are known without a test."""
    # The first rank of several nodes says from which; its folder may look older to the others. Processes of one machine
    # cannot be told before ``fit`` has started them all: each looks.
    looks = trainer.is_global_zero or trainer.num_nodes == 1
    checkpoint = trainer.strategy.broadcast(checkpoint_to_resume(folder, model) if looks else None)
    try:
        trainer.fit(model, data, ckpt_path=checkpoint)
    except DivergedError as error:
        return TrainingResult(
            **{**describe(), "best_val_acc": None}, test_acc=None, status="diverged", reason=str(error)
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        if checkpoint is None or model.has_begun or isinstance(error, UserError):
            raise
        raise UserError(
            f"{checkpoint} belongs to another training ({describe_error(error)}): remove it and run the same command "
            "again; the result is the same"
        ) from None
    if trainer.current_epoch < (trainer.max_epochs or 0):
        raise RuntimeError(f"Lightning ended the training after {trainer.current_epoch} of {trainer.max_epochs} epochs")
    if not trainer.strategy.broadcast((folder / "best.ckpt").exists()):
        raise UserError(
            f"{folder.name}: nothing was validated in {trainer.max_epochs} epochs, so there is no best epoch: "
            "remove the folder, and lower --trainer.check_val_every_n_epoch or --trainer.val_check_interval"
        )
    # Before the test, which loads the callbacks' states of the best epoch along with its weights.
    described = describe()
    tested = trainer.test(model, data, ckpt_path=folder / "best.ckpt", verbose=False)[0]
    return TrainingResult(
        **described, test_acc=tested["test/acc"], test_loss=tested["test/loss"], status="ok", reason=None
    )


def _describe(
    pick: SavedPick, data: ImageDataModule, trajectory: ScoreTrajectory, metrics: MetricsTable
) -> dict[str, Any]:
    settings, dataset = pick.settings, data.dataset
    space = known_space(settings.space)
    size = space.complexity(settings.canonical, dataset.num_classes, image_size=dataset.image_size)
    return {
        "control": pick.run.name.startswith(f"{CONTROL}-") or None,
        **{name: getattr(settings, name) for name in ("rank", "space", "architecture", "canonical", "dataset", "seed")},
        "epochs": settings.values.epochs,
        "epochs_trained": len(metrics.rows),
        "accumulate": pick.accumulate,
        "recipe": settings.describe_recipe(),
        "score_init": trajectory.rows[0]["score"],
        "score_final": trajectory.rows[-1]["score"],
        "val_set": dataset.val_name,
        "test_set": dataset.test_name,
        "best_val_acc": max((row["val/acc"] for row in metrics.rows if "val/acc" in row), default=None),
        "params": size.params,
        "macs": size.macs,
        "seconds": round(sum(row["seconds"] for row in metrics.rows), 3),
        "versions": {"torch": torch.__version__, "pytorch_lightning": pl.__version__},
    }


def run_pick(
    folder: Path, images: Path | None = None, space: str | None = None, show: Callable[[Epoch], None] = report_epoch
) -> tuple[Outcome, int]:
    """Train the pick of ``folder`` and write how it ended to its ``outcome.json``; return that, and an exit code.

    ``space`` is trusted, and other code in further lines. The code is 0; 2 for a user's mistake; 130 if training was
    interrupted; 140 and more if the outcome could not be written (:data:`EXIT_OS_ERROR`); 1 for any other end.
    """
    tune_process(trains=True)
    if space is not None:
        for name in space.split("\n"):
            trust(name)
    silence_lightning()
    is_first = is_first_process()
    try:
        # The pick of a command that was killed ends within a training step: wait for it. Of several processes the first
        # holds the folder.
        with lock_folder(folder, patience=PATIENCE_SECONDS) if is_first else nullcontext():
            result = train_pick(folder, images, show)
    except BaseException as error:  # noqa: BLE001 - the command is told of every kind
        outcome, code = classify_error(error)
        if outcome.status in ("failed", "out of memory", "device fault"):
            traceback.print_exc()
    else:
        outcome, code = Outcome(result.status, result.reason), 0
    try:
        # With several processes, the first writes the outcome, or another that failed; what broke one is the cause, and
        # that it answers no more is what the others see.
        is_told = outcome.status == "failed" and read_outcome(folder).is_of_machine
        if (is_first or not outcome.has_result) and not is_told:
            outcome.write(folder)
    # On a full disk, say, the exit code has to do.
    except OSError as error:
        code = EXIT_OS_ERROR + (error.errno or 0)
    return outcome, code


def classify_error(error: BaseException) -> tuple[Outcome, int]:
    """Return what an error means to the user, and the exit code."""
    if isinstance(error, UserError | SpaceError):
        return Outcome("user error", str(error)), 2
    if isinstance(error, OSError):
        return Outcome("user error", describe_os_error(error)), 2
    if isinstance(error, TrainingInterrupted) and error.out_of_time:
        return Outcome("out of time", "stopped by --trainer.max_time; run the same command again to continue"), 1
    if isinstance(error, KeyboardInterrupt | TrainingInterrupted | SIGTERMException):
        return Outcome("interrupted"), EXIT_INTERRUPTED
    statuses: dict[Fault, Ending] = {"resource": "out of memory", "device": "device fault", "architecture": "failed"}
    return Outcome(statuses[fault_kind(error)], describe_error(error)), 1


if __name__ == "__main__":
    _folder, _images, _space = (*sys.argv[1:], None, None)[:3]
    sys.exit(run_pick(Path(str(_folder)), None if _images is None else Path(_images), _space)[1])
