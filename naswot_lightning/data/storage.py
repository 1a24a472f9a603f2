"""A loaded data set as plain files that processes map: decoded once, in memory once for all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.errors import UserError, reason_of
from naswot_lightning.storage.faults import FAULTS
from naswot_lightning.storage.files import atomic_path, remove_unfinished
from naswot_lightning.storage.records import STRICT, Count, Positive, from_plain

_SPLITS = ("train", "val", "test")
_PLAIN = tuple(field.name for field in fields(Dataset) if field.name not in _SPLITS)
_DESCRIPTION = "dataset.json"


@dataclass(frozen=True)
class _Plain:
    """What is stored of a data set beside its arrays."""

    name: str
    num_classes: Positive
    mean: Sequence[float]
    std: Sequence[float]
    flip: bool
    crop_padding: Count
    val_name: str | None
    test_name: str

    __pydantic_config__ = STRICT


def store_dataset(dataset: Dataset, folder: Path) -> None:
    """Write a data set into ``folder``: an array of images and one of labels a split, and a JSON file of the rest.

    It is written beside and renamed: ``folder`` is there and whole, or not there. What was there before is replaced;
    processes that have mapped it keep it. Only one process at a time may store to one folder.

    Raises:
        OSError: the disk is full or cannot be written; nothing is left behind.
    """
    remove_unfinished(folder)
    with atomic_path(folder) as beside:
        beside.mkdir()
        _write(dataset, beside)


def map_dataset(folder: Path) -> Dataset:
    """Return the data set that lies in ``folder``; its tensors are the files' pages, which all processes share.

    A process that writes to a tensor changes its own copy of the page only. The files may be removed meanwhile.

    Raises:
        UserError: a file is missing or damaged.
    """
    try:
        description = json.loads((folder / _DESCRIPTION).read_text())
        plain: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in description["plain"].items()
        }
        splits: dict[str, Any] = {name: _mapped_split(folder, name) for name in description["splits"]}
        dataset = Dataset(**{"val": None, **splits, **plain})
        from_plain(_Plain, description["plain"])
        for name, split in splits.items():
            _expect_usable(name, split, dataset)
        return dataset
    except FileNotFoundError as error:
        raise _unusable(folder, f"{Path(error.filename).name} is missing") from None
    except FAULTS as error:
        raise _unusable(folder, reason_of(error)) from None


def stored_fingerprint(folder: Path) -> str:
    """Return the fingerprint of the data set that lies in ``folder``."""
    return str(json.loads((folder / _DESCRIPTION).read_text())["fingerprint"])


def _write(dataset: Dataset, folder: Path) -> None:
    splits: dict[str, ImageSplit] = {n: getattr(dataset, n) for n in _SPLITS if getattr(dataset, n) is not None}
    for name, split in splits.items():
        _write_array(folder / f"{name}-images.npy", split.images)
        _write_array(folder / f"{name}-labels.npy", split.labels)
    plain = {name: getattr(dataset, name) for name in _PLAIN}
    description = {"splits": list(splits), "plain": plain, "fingerprint": dataset.fingerprint}
    (folder / _DESCRIPTION).write_text(json.dumps(description))


def _write_array(path: Path, tensor: Tensor) -> None:
    """Write as ``numpy.save`` does, which hides the reason where the disk is full."""
    array = tensor.contiguous().numpy()
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def _mapped_split(folder: Path, name: str) -> ImageSplit:
    images = _mapped(folder / f"{name}-images.npy", np.uint8, 4)
    labels = _mapped(folder / f"{name}-labels.npy", np.int64, 1)
    if len(images) != len(labels):
        raise ValueError(f"{name} has {len(images)} images and {len(labels)} labels")
    return ImageSplit(images, labels)


def _expect_usable(name: str, split: ImageSplit, dataset: Dataset) -> None:
    """Raise ValueError where a training would end in a library: of empty images, or labels of no class."""
    height, width, channels = split.images.shape[1:]
    if height != width or 0 in split.images.shape:
        raise ValueError(f"{name} has {len(split)} images of {width}x{height}, expected squares")
    if {len(dataset.mean), len(dataset.std)} - {1, channels}:
        raise ValueError(f"{name} has {channels} channels, and statistics of {len(dataset.mean)}")
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= dataset.num_classes:
        raise ValueError(f"{name} has labels from {low} to {high}, expected 0 to {dataset.num_classes - 1}")


def _mapped(path: Path, dtype: Any, dimensions: int) -> Tensor:
    try:
        # Copy on write: torch has no tensors that cannot be written.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - its header is read as Python, whose parser has errors of its own
        raise ValueError(f"{path.name} is no array: {error}") from None
    if array.dtype != dtype or array.ndim != dimensions:
        raise ValueError(f"{path.name} is {array.ndim}-dimensional {array.dtype}")
    return torch.from_numpy(array)


def _unusable(folder: Path, reason: str) -> UserError:
    return UserError(f"{folder}: the stored images cannot be used ({reason}); remove it and run the command again")
