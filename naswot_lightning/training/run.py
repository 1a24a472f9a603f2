"""All picks of a run: one process each, then their comparison."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from naswot_lightning.config import TrainConfig
from naswot_lightning.data.catalog import load_dataset
from naswot_lightning.data.dataset import Dataset
from naswot_lightning.data.probe import draw_probe
from naswot_lightning.data.splits import warn_of_own_split
from naswot_lightning.data.storage import store_dataset
from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import WorkerFailure
from naswot_lightning.report.compare import compare
from naswot_lightning.report.wandb.comparison import ComparisonRun, ComparisonUpdates
from naswot_lightning.report.wandb.runs import resolve_project, wandb_group
from naswot_lightning.training.outcome import Outcome
from naswot_lightning.training.plan import PlannedPick, SearchProbe, Training, plan_training
from naswot_lightning.training.progress import display
from naswot_lightning.training.settings import PickRun, PickSettings, prepare_pick
from naswot_lightning.training.task import TrainPick


def run_training(config: TrainConfig) -> int:
    """Train the picks that have no result yet, then compare all of the run folder.

    Returns:
        0, or 1 where a pick failed or ran out of time; the others are trained all the same.

    Raises:
        UserError: a setting, a file or the run folder is at fault.
    """
    return run(plan_training(config))


def run(training: Training) -> int:
    """Train what is planned; return as :func:`run_training` does."""
    settings = training.picks[0].settings
    if warning := warn_of_own_split(settings.dataset, settings.split_file):
        print(f"train.py: warning: {warning}", file=sys.stderr)
    finished = all(_is_finished(training.folder.picks / pick.name) for pick in training.picks)
    # What is at fault with the data is said before anything is written.
    loaded = [_load(settings)] if training.overwrite or not finished else []
    if loaded and training.search_probe and not training.overwrite:
        _expect_images_of(training.search_probe, loaded[0])
    images = loaded[0].fingerprint if loaded else None
    with _interrupted_by_sigterm(), training.folder.lock():
        folders = [_prepare(training, pick, images) for pick in training.picks]
        comparison = ComparisonRun(training.folder, training.wandb)
        to_train = [folder for folder in folders if not _is_finished(folder)]
        unfinished = _train(to_train, training, loaded, comparison)
        training.folder.expect_in_place()
        compare(comparison)
    for folder, outcome in unfinished.items():
        if outcome.status != "out of time":
            print(f"FAILED: {folder.name}, see {folder / 'train.log'}", file=sys.stderr)
    return 1 if unfinished else 0


def _expect_images_of(search: SearchProbe, dataset: Dataset) -> None:
    """Raise :class:`UserError` where the data has changed since the search."""
    found = draw_probe(dataset, search.batch_size, search.seed).fingerprint
    if found != search.fingerprint:
        raise UserError(
            f"the images of {dataset.name} are not those of the search (its mini-batch has the fingerprint "
            f"{search.fingerprint}, now {found}): restore them, or use --overwrite to train on these all the same"
        )


def _prepare(training: Training, pick: PlannedPick, images: str | None) -> Path:
    wandb = training.wandb
    run = PickRun(
        mode=wandb.mode,
        project=resolve_project(wandb.project),
        group=wandb_group(training.folder, wandb.group),
        id=f"{training.folder.run_id()}-{pick.name}-{pick.settings.digest()}",
        name=pick.name,
        artifacts=wandb.artifacts,
    )
    return prepare_pick(training.folder.path, pick.settings, run, training.overwrite, images)


def _load(settings: PickSettings) -> Dataset:
    return load_dataset(settings.dataset, settings.data_dir, settings.image_size, settings.split_file)


def _train(
    folders: list[Path], training: Training, loaded: list[Dataset], comparison: ComparisonRun
) -> dict[Path, Outcome]:
    """Train picks; return how those ended that have no result then. A data set that was loaded is taken and let go."""
    if not folders:
        return {}
    settings = training.picks[0].settings
    ended: dict[Path, Outcome] = {}
    with (
        ComparisonUpdates(comparison) as shown,
        _shared_images(training.folder.path, loaded or [_load(settings)]) as images,
        display() as progress,
    ):
        task = TrainPick(images, settings.space, training.slots, progress)
        for folder, outcome in training.executor.run(task, folders):
            ended[folder] = Outcome("killed", outcome.reason) if isinstance(outcome, WorkerFailure) else outcome
            if len(ended) < len(folders):  # the last is of the comparison that follows
                shown.pick_ended()
    return {folder: outcome for folder, outcome in ended.items() if not outcome.has_result}


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Take SIGTERM, with which schedulers announce the end, as Ctrl-C: the pick saves before it ends."""

    def interrupt(signum: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _shared_images(run_dir: Path, loaded: list[Dataset]) -> Iterator[Path]:
    """Store the data set and let it go; the processes of all picks map the same memory."""
    images = run_dir / ".images"
    try:
        store_dataset(loaded.pop(), images)
        yield images
    finally:
        shutil.rmtree(images, ignore_errors=True)


def _is_finished(folder: Path) -> bool:
    return (folder / "result.json").exists()
