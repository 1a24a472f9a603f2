"""Short trainings: each candidate is a pick of ``train.py``, in a process of its own, and saved like one."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from naswot_lightning.analysis.results import TrainingResult, read_result
from naswot_lightning.columns import VAL_ACC, Criterion
from naswot_lightning.config import TrainConfig
from naswot_lightning.data.dataset import map_dataset, store_dataset
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from naswot_lightning.execution.resources import ResourceSlot, split_resources
from naswot_lightning.scorer import Evaluation, Json, ScoreEvaluator
from naswot_lightning.search.evaluators.base import Conditions
from naswot_lightning.search.evaluators.staged import Loaded, Staged
from naswot_lightning.storage.records import from_plain
from naswot_lightning.training.plan import plan_training
from naswot_lightning.training.progress import Epoch, Lines, Outcome
from naswot_lightning.training.run import IMAGES_FILE, TrainPick
from naswot_lightning.training.settings import PickRun, PickSettings, prepare_pick

_MANY = 1_000  # candidates, for which slots are shared out
_EPOCHS = 12  # of NAS-Bench-201's short trainings
FOLDER = "trials"  # of a run folder; a training in it is one of train.py, but no pick
_OWN = (
    "run_dir", "top", "select", "picks", "architecture", "space", "canonical", "seed", "seeds", "overwrite", "trust",
    "dataset", "data_dir", "image_size", "split_file", "epochs", "engine", "workers", "slurm", "wandb", "trainer",
)  # fmt: skip


class TrainingEvaluator(Staged):
    """Trains a candidate for some epochs, and says how good it was on validation images at its best.

    Its trainings lie in ``trials/``: one that was interrupted is continued, one that is finished is not done again.
    Used with ``with``, it puts the images away at the end.

    Args:
        template: the settings of a training, but for its architecture and its epochs.
        slots: where candidates train, one at a time each.
        folder: of the run.
        fingerprint: of the data set's first mini-batch.
        load_scores: as for :class:`Staged`.
        settings: that decide the accuracies, by the names of their options.
    """

    criteria = (Criterion((VAL_ACC,)),)
    activity = "training"

    def __init__(
        self,
        template: PickSettings,
        slots: tuple[ResourceSlot, ...],
        folder: Path,
        fingerprint: str,
        load_scores: Callable[[], ScoreEvaluator] | None = None,
        settings: Mapping[str, Json] | None = None,
    ) -> None:
        super().__init__(template.values.epochs, load_scores)
        self._settings = dict(settings or {})
        self.slots, self.fingerprint = slots, fingerprint
        self._template, self._folder = template, folder
        self._images_lock = Lock()

    def identity(self) -> Mapping[str, Json]:
        """Return the settings that decide the accuracies, and the scores."""
        return {**self.settings_of_scores(), **self._settings}

    def prepare(self) -> None:
        """Nothing: each training has a process of its own."""

    def __enter__(self) -> TrainingEvaluator:
        self.__exit__()  # what a killed search left may not be whole
        return self

    def __exit__(self, *exception: object) -> None:
        (self._folder / IMAGES_FILE).unlink(missing_ok=True)

    def __reduce__(self) -> tuple[type[TrainingEvaluator], tuple[Any, ...]]:
        """Sent elsewhere, it finds the images stored, and brings the mini-batches of its scores."""
        _ = self._pick
        load_scores = None if self.scores is None else Loaded(self.scores)
        own = self._template, self.slots, self._folder, self.fingerprint, load_scores, self._settings
        return TrainingEvaluator, own

    @cached_property
    def _pick(self) -> TrainPick:
        images = self._folder / IMAGES_FILE
        if not images.exists():
            _store(self._template, images)
        return TrainPick(images, self._template.space, self.slots, _Warnings())

    def stop(self) -> None:
        """Let all trainings save and end."""
        if pick := vars(self).get("_pick"):  # where one has begun
            pick.stop()

    def train(self, architecture: str, epochs: int) -> Evaluation:
        """Return the best accuracy on validation images, as a share.

        Raises:
            KeyboardInterrupt: the training was interrupted; it is saved.
            UserError: a setting or a file is at fault.
        """
        settings = replace(
            self._template,
            architecture=architecture,
            canonical=architecture,
            values=replace(self._template.values, epochs=epochs),
        )
        with self._images_lock:
            pick = self._pick
        images = map_dataset(pick.images).fingerprint
        folder = prepare_pick(self._folder / FOLDER, settings, _run(settings), overwrite=False, images=images)
        outcome = Outcome("ok") if (folder / "result.json").exists() else pick(folder)
        if not outcome.has_result:
            return Evaluation({VAL_ACC.name: None}, "failed", outcome.message or outcome.status)
        for checkpoint in folder.glob("*.ckpt"):  # 10 MB each, of hundreds of trainings
            checkpoint.unlink()
        return _values_of(read_result(folder / "result.json"))


class _Warnings(Lines):
    """Shows what is said of a training, and not each of its epochs: there are many, and a bar counts them."""

    def show(self, epoch: Epoch) -> None: ...

    def say(self, text: str) -> None:
        print(text, file=sys.stderr)

    def end(self, name: str) -> None: ...


def _store(settings: PickSettings, images: Path) -> None:
    dataset = load_dataset(settings.dataset, settings.data_dir, settings.image_size, settings.split_file)
    if dataset.val is None:
        raise UserError(
            f"--dataset {settings.dataset}: it has no validation images, and a search must not look at test images; "
            "use one that has, such as cifar10-valid"
        )
    images.parent.mkdir(parents=True, exist_ok=True)
    store_dataset(dataset, images)


def _run(settings: PickSettings) -> PickRun:
    """Return the name of a training: digits that another architecture does not share, and its epochs."""
    digits = hashlib.sha256(settings.architecture.encode()).hexdigest()[:12]
    return PickRun("disabled", "", "", digits, f"{digits}-{settings.values.epochs}")


def _values_of(result: TrainingResult) -> Evaluation:
    failed = result.status != "ok" or result.best_val_acc is None
    return Evaluation(
        scores={VAL_ACC.name: None if failed else result.best_val_acc},
        status="failed" if failed else "ok",
        reason=result.reason or result.status if failed else None,
        params=result.params,
        macs=result.macs,
        seconds=result.seconds or 0.0,
    )


def training_evaluator(conditions: Conditions) -> TrainingEvaluator:
    """Return the evaluator that trains on the data set of the search.

    Raises:
        UserError: an option of the training is at fault.
    """
    config = _config(conditions)
    template = plan_training(config).picks[0].settings
    slots = split_resources(config.accelerator, config.devices, _MANY, config.workers, config.threads)
    fingerprint = conditions.load_probes()[0].fingerprint
    settings = {
        "dataset": conditions.images["dataset"],
        "image_size": conditions.images["image_size"],
        "epochs": conditions.epochs,
        "train": conditions.training,
    }
    return TrainingEvaluator(template, tuple(slots), conditions.folder, fingerprint, conditions.load_scores, settings)


def _config(conditions: Conditions) -> TrainConfig:
    """Return the settings of train.py; with one thread, a result does not depend on how many train side by side."""
    allowed = [name for name in TrainConfig.__dataclass_fields__ if name not in _OWN]
    for name in conditions.training:
        if name not in allowed:
            raise UserError(f"--train.{name}: expected one of {', '.join(allowed)}")
    plain = {
        "run_dir": str(conditions.folder / FOLDER),
        "architecture": conditions.space.sample(random.Random(0)),
        "space": conditions.space.name,
        "seed": conditions.seed,
        "epochs": conditions.epochs or _EPOCHS,
        "workers": conditions.workers,
        "wandb": {"mode": "disabled"},
        "early_points": 0,
        "threads": 1,
    }
    try:
        return from_plain(TrainConfig, {**plain, **conditions.images, **conditions.training})
    except ValueError as error:
        raise UserError(f"--train: {error}") from None
