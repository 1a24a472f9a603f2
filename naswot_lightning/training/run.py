"""All picks of a run: one process each."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from naswot_lightning.data.catalog import load_dataset
from naswot_lightning.data.dataset import Dataset
from naswot_lightning.data.probe import draw_probe
from naswot_lightning.data.storage import store_dataset
from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import WorkerFailure
from naswot_lightning.report.wandb.runs import resolve_project, wandb_group
from naswot_lightning.training.outcome import Outcome
from naswot_lightning.training.plan import PlannedPick, SearchProbe, Training
from naswot_lightning.training.progress import display
from naswot_lightning.training.settings import PickRun, PickSettings, prepare_pick
from naswot_lightning.training.task import TrainPick


def load_images(training: Training) -> list[Dataset]:
    """Return the data set that there is something to train on, in a list from which it can be let go; else none.

    Raises:
        UserError: it cannot be read, or has changed since the search.
    """
    finished = all(_is_finished(training.folder.picks / pick.name) for pick in training.picks)
    if finished and not training.overwrite:
        return []
    dataset = _load(training.picks[0].settings)
    if training.search_probe and not training.overwrite:
        _expect_images_of(training.search_probe, dataset)
    return [dataset]


def prepare_picks(training: Training, loaded: list[Dataset]) -> list[Path]:
    """Write the settings of all picks, under the lock of the run folder; return the folders without a result yet."""
    images = loaded[0].fingerprint if loaded else None
    folders = [_prepare(training, pick, images) for pick in training.picks]
    return [folder for folder in folders if not _is_finished(folder)]


def train_picks(
    training: Training, folders: list[Path], loaded: list[Dataset]
) -> Generator[tuple[Path, Outcome], None, None]:
    """Train picks; yield the folder of each with how it ended, as they end.

    Args:
        training: that is planned.
        folders: of the picks.
        loaded: holds the data set, which is taken out and let go; where it is empty, the data set is loaded.
    """
    if not folders:
        return
    settings = training.picks[0].settings
    with _shared_images(training.folder.path, loaded or [_load(settings)]) as images, display() as progress:
        task = TrainPick(images, settings.space, training.slots, progress)
        for folder, outcome in training.executor.run(task, folders):
            yield folder, Outcome("killed", outcome.reason) if isinstance(outcome, WorkerFailure) else outcome


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
