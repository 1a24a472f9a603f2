"""Everything that decides the training of one pick, and the files of its folder that say so."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import write_whole
from naswot_lightning.storage.run_folder import differing
from naswot_lightning.training.recipes import NAMES, Recipe

# What may differ when a pick is continued.
_FREE = ("wandb", "data_dir", "split_file", "accelerator", "devices", "strategy")
_RETRY = "retry.yaml"


@dataclass(frozen=True)
class PickSettings:
    """Everything that decides the training of one pick.

    Attributes:
        rank: in the ranking; None where the architecture was given.
        architecture: the pick.
        canonical: the architecture of the network that is trained.
        score: at the search.
        space: the search space.
        dataset: to train on.
        data_dir: its folder.
        image_size: side of the images of an imagefolder.
        split_file: official lists.
        split: in words, how the data set is divided.
        recipe: its name.
        values: of the recipe.
        seed: of weights, order and augmentation.
        early_points: of the trajectory, in each of the first two epochs.
        probe_seed: of the trajectory's mini-batch.
        probe_batch_size: its images.
        precision: of Lightning's Trainer, as the following.
        trainer: further arguments of it.
    """

    rank: int | None
    architecture: str
    canonical: str
    score: float | None
    space: str
    dataset: str
    data_dir: str
    image_size: int | None
    split_file: str | None
    split: str | None
    recipe: str
    values: Recipe
    seed: int
    early_points: int
    probe_seed: int
    probe_batch_size: int
    precision: str
    compile: bool
    deterministic: bool
    accelerator: str
    devices: int
    strategy: str
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """Return them flat, as in ``config.yaml``."""
        plain: dict[str, Any] = {}
        for name, value in asdict(self).items():
            plain |= value if name == "values" else {name: value}
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> PickSettings:
        """Return the settings of a ``config.yaml``; KeyError where one is missing."""
        values = Recipe(**{name: plain[name] for name in NAMES})
        own = [each.name for each in fields(cls) if each.name != "values"]
        return cls(values=values, **{name: plain[name] for name in own})

    def digest(self) -> str:
        """Return four digits that other settings do not share (the free ones aside)."""
        decisive = {name: value for name, value in self.to_plain().items() if name not in _FREE}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:4]


@dataclass(frozen=True)
class PickRun:
    """The wandb run of a pick.

    Attributes:
        mode: auto, online, offline or disabled.
        project: the wandb project.
        group: of all runs of the run folder.
        id: of the run; other settings are another run, since wandb cannot take back what it was sent of the first.
        name: of the run and of the pick's folder.
    """

    mode: str
    project: str
    group: str
    id: str
    name: str


@dataclass(frozen=True)
class SavedPick:
    """A pick's folder, as its process reads it.

    Attributes:
        settings: of its training.
        run: in wandb.
        accumulate: parts in which each mini-batch is taken; 2 after a retry for want of memory.
    """

    settings: PickSettings
    run: PickRun
    accumulate: int = 1

    def half(self) -> int | None:
        """Return the images on a device of half a step; None where it is halved already or cannot be."""
        per_device = self.settings.values.batch_size // self.settings.devices
        if self.accumulate != 1 or per_device < 4 or per_device % 2:
            return None
        return int(per_device // 2)


def prepare_pick(run_dir: Path, settings: PickSettings, run: PickRun, overwrite: bool) -> Path:
    """Write the settings of a pick into its folder; a folder belongs to one set of them.

    Returns:
        The folder.

    Raises:
        UserError: it was trained with other settings, or its settings are damaged.
    """
    folder = run_dir / "picks" / run.name
    plain = settings.to_plain()
    if (folder / "config.yaml").exists():
        saved = _read_plain(folder)
        changed = differing(saved, {name: value for name, value in plain.items() if name not in _FREE})
        if changed and not overwrite:
            raise UserError(
                f"{folder} was trained with other settings: {'; '.join(changed)}; "
                "choose another --run_dir, or use --overwrite to train it again"
            )
        if changed:
            shutil.rmtree(folder)
        elif saved.get("accumulate", 1) != 1:  # where older versions kept it
            write_retry(folder, saved["accumulate"])
    write_whole(folder / "config.yaml", yaml.safe_dump({**plain, "wandb": asdict(run)}, sort_keys=False))
    return folder


def read_pick(folder: Path) -> SavedPick:
    """Return the settings of a pick's folder.

    Raises:
        UserError: they are damaged.
    """
    plain = _read_plain(folder)
    retry = folder / _RETRY
    try:
        accumulate = int(yaml.safe_load(retry.read_text())["accumulate"]) if retry.exists() else 1
        return SavedPick(PickSettings.from_plain(plain), PickRun(**plain["wandb"]), accumulate)
    except (KeyError, TypeError, ValueError, yaml.YAMLError):
        raise _damaged(folder) from None


def write_retry(folder: Path, accumulate: int) -> None:
    """Let a pick take each of its steps in parts from now on; its settings stay as they are."""
    write_whole(folder / _RETRY, yaml.safe_dump({"accumulate": accumulate}))


def _read_plain(folder: Path) -> dict[str, Any]:
    try:
        plain = yaml.safe_load((folder / "config.yaml").read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        plain = None
    if not isinstance(plain, dict):
        raise _damaged(folder)
    return plain


def _damaged(folder: Path) -> UserError:
    return UserError(
        f"the settings of {folder} are damaged (config.yaml, {_RETRY}): remove the folder, and train.py trains it again"
    )
