"""Short trainings: each candidate is a pick of ``naswot train``, in a process of its own, and saved like one."""

from __future__ import annotations

import hashlib
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from naswot_lightning.analysis.results import read_result
from naswot_lightning.columns import VAL_ACC
from naswot_lightning.config import TrainConfig, settings_affecting
from naswot_lightning.data.dataset import map_dataset, store_dataset
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import MachineError, UserError
from naswot_lightning.execution.resources import ResourceSlot, split_resources
from naswot_lightning.scorer import Evaluation, ScoreEvaluator
from naswot_lightning.searching.evaluators.base import EvaluatorContext, MultiFidelityEvaluator
from naswot_lightning.storage.records import from_plain
from naswot_lightning.training.plan import plan_training
from naswot_lightning.training.progress import Epoch, Lines, Outcome
from naswot_lightning.training.run import IMAGES_FILE, TrainPick
from naswot_lightning.training.settings import PickRun, PickSettings, prepare_pick

# Candidates among which slots are shared out: more than any machine takes side by side.
_MANY = 1_000
# The length of NAS-Bench-201's short trainings.
_EPOCHS = 12
# Of a run folder: a training in it is one of naswot train, but no pick.
FOLDER = "trials"
# Options of naswot train that make no sense for one candidate out of many.
_NOT_OF_A_CANDIDATE = {"engine", "num_nodes", "slurm", "trainer"}


@dataclass
class TrainingEvaluator(MultiFidelityEvaluator):
    """Trains a candidate for some epochs, and returns its best accuracy on validation images.

    Its trainings lie in ``trials/``: one that was interrupted is continued, one that is finished is not done again.
    As a context manager it removes the stored images at the end.
    """

    template: PickSettings
    """the settings of a training, but for its architecture and its epochs."""
    slots: tuple[ResourceSlot, ...]
    """where candidates train, one at a time each."""
    folder: Path
    fingerprint: str
    """of the data set's first mini-batch."""
    scorer: ScoreEvaluator | None = None
    activity = "training"
    # Images are stored once, by the first of the threads that wants them.
    _images_lock = Lock()

    def __post_init__(self) -> None:
        self.epochs = self.template.values.epochs
        self._pick = TrainPick(self.folder / IMAGES_FILE, self.template.space, self.slots, _Warnings())

    def __enter__(self) -> TrainingEvaluator:
        # A killed search may have left those of other settings.
        self.__exit__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._pick.images.unlink(missing_ok=True)

    def __reduce__(self) -> tuple[type[TrainingEvaluator], tuple[Any, ...]]:
        """Sent elsewhere, it finds the images stored, and brings the mini-batches of its scores."""
        self._store_images()
        return TrainingEvaluator, (self.template, self.slots, self.folder, self.fingerprint, self.scorer)

    def _store_images(self) -> None:
        settings = self.template
        with self._images_lock:
            if self._pick.images.exists():
                return
            dataset = load_dataset(settings.dataset, settings.data_dir, settings.image_size, settings.split_file)
            if dataset.val is None:
                why = "it has no validation images, and a search must not look at test images"
                raise UserError(f"--dataset {settings.dataset}: {why}; use one with validation images: cifar10-valid")
            store_dataset(dataset, self._pick.images)

    def stop(self) -> None:
        """Let all trainings save and end."""
        self._pick.stop()

    def train(self, architecture: str, epochs: int) -> Evaluation:
        """Return the best accuracy on validation images, as a share; an interrupted training is saved."""
        values = replace(self.template.values, epochs=epochs)
        settings = replace(self.template, architecture=architecture, canonical=architecture, values=values)
        self._store_images()
        images = map_dataset(self._pick.images).fingerprint
        # Its name: digits that another architecture does not share (48 bits), and its epochs.
        digits = hashlib.sha256(architecture.encode()).hexdigest()[:12]
        run = PickRun("disabled", "", "", digits, f"{digits}-{epochs}")
        folder = prepare_pick(self.folder / FOLDER, settings, run, overwrite=False, images=images)
        outcome = Outcome("ok") if (folder / "result.json").exists() else self._pick(folder)
        if outcome.is_of_machine:
            # A pick takes its steps in halves before it is out of memory.
            is_final = outcome.status == "out of memory"
            raise MachineError(f"{outcome.status}: {outcome.message}", is_final=is_final)
        if not outcome.has_result:
            return Evaluation({VAL_ACC.name: None}, "failed", outcome.message or outcome.status)
        # Checkpoints take 10 MB each, of hundreds of trainings.
        for checkpoint in folder.glob("*.ckpt"):
            checkpoint.unlink()
        result = read_result(folder / "result.json")
        failed = result.status != "ok" or result.best_val_acc is None
        return Evaluation(
            scores={VAL_ACC.name: None if failed else result.best_val_acc},
            status="failed" if failed else "ok",
            reason=result.reason or result.status if failed else None,
            params=result.params,
            macs=result.macs,
            seconds=result.seconds or 0.0,
        )


class _Warnings(Lines):
    """Shows the messages of trainings, but not their epochs: a bar counts the many trainings."""

    def show(self, epoch: Epoch) -> None: ...

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)


def training_evaluator(context: EvaluatorContext) -> TrainingEvaluator:
    """Return the evaluator that trains on the data set of the search; an invalid option is a UserError."""
    search, folder = context.config, Path(context.config.run_dir)
    given = {
        "run_dir": str(folder / FOLDER),
        "architecture": context.space.sample(random.Random(0)),
        "space": context.space.name,
        "seed": search.seed,
        "epochs": search.epochs or _EPOCHS,
        "workers": search.workers,
        "wandb": {"mode": "disabled"},
        "dataset": search.dataset,
        "data_dir": search.data_dir,
        "image_size": search.image_size,
        "split_file": search.split_file,
    }
    names = settings_affecting(TrainConfig, "training", "machine")
    allowed = [name for name in names if name not in {*given, *_NOT_OF_A_CANDIDATE}]
    for name in search.train:
        if name not in allowed:
            raise UserError(f"--train.{name}: expected one of {', '.join(allowed)}")
    try:
        # With one thread, a result does not depend on how many train side by side.
        config = from_plain(TrainConfig, {**given, "early_points": 0, "threads": 1, **search.train})
    except ValueError as error:
        raise UserError(f"--train: {error}") from None
    template = plan_training(config).picks[0].settings
    slots = split_resources(config.accelerator, config.devices, _MANY, config.workers, config.threads)
    fingerprint = context.load_probes()[0].fingerprint
    return TrainingEvaluator(template, tuple(slots), folder, fingerprint, context.initial_scorer())
