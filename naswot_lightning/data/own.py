"""Data sets of the user's own: a LightningDataModule or a function by its import path, or Hugging Face's on disk."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Subset, SubsetRandomSampler

from naswot_lightning.data import DATASETS, HUGGING_FACE
from naswot_lightning.data.dataset import Dataset, ImageSplit, LazyImages, decode_all
from naswot_lightning.data.image_folder import assemble, count_kept, read_image, resized, to_bytes
from naswot_lightning.errors import UserError, describe_error, expect_name
from naswot_lightning.registry import resolve_with_options
from naswot_lightning.seeds import seeded
from naswot_lightning.spaces import is_import_path

_RETURNED = "training, validation (or None) and test data sets of (image, label)"
_KINDS = ("training", "validation", "test")
# What Hugging Face's data sets call their validation images.
_VALIDATION = ("validation", "valid", "val", "dev")


class OwnSplits(NamedTuple):
    """What the user's code gave: indexable data sets of (image, label)."""

    train: Any
    val: Any
    """None where there is none."""
    test: Any
    """None where there is none; then the validation images are the test images."""
    classes: Sequence[str] | None = None


def dataset_name(name: str) -> str:
    """Return a name of a data set as runs keep it: options sorted, without those that have their default value.

    The code that an import path names is imported.
    """
    if is_import_path(name):
        return resolve_with_options("dataset", name)[0]
    return name if name.startswith(HUGGING_FACE) else expect_name("dataset", name, [*DATASETS, "noise"])


def load_own(name: str, image_size: int | None = None) -> Dataset:
    """Return the data set of an import path, or of ``hf:FOLDER``."""
    with _own_splits(name) as (full_name, splits):
        return _read(full_name, splits, image_size)


def count_own(name: str) -> int:
    """Return how many images of such a data set are trained on; none is read."""
    with _own_splits(name) as (_, splits):
        return count_kept(len(splits.train), splits.val is not None and splits.test is not None)


@contextmanager
def _own_splits(name: str) -> Iterator[tuple[str, OwnSplits]]:
    """Give the full name and what the user's code gives; report what fails within the block in one line."""
    if name.startswith(HUGGING_FACE):
        with _failures(name):
            yield name, _expect_whole(_saved_splits(name.removeprefix(HUGGING_FACE)))
        return
    name, make, options = resolve_with_options("dataset", name)
    # What is drawn without a generator of its own, such as by random_split, is the same each time.
    with _failures(name), seeded(0, torch.device("cpu")):
        made = make(**options)
        if inspect.isclass(make):
            made = _splits_of_module(made, make)
        elif not isinstance(made, tuple | list) or len(made) != 3:
            raise UserError(f"the function returns {type(made).__name__}, expected {_RETURNED}")
        yield name, _expect_whole(OwnSplits(*made))


def _expect_whole(splits: OwnSplits) -> OwnSplits:
    """Return the splits where they are indexable, and something is there to test on."""
    if splits.train is None or (splits.val is None and splits.test is None):
        raise UserError("it has no test or validation images in addition to training images")
    for kind, part in zip(_KINDS, splits[:3], strict=True):
        indexable = hasattr(part, "__len__") and hasattr(part, "__getitem__")
        if part is not None and not (indexable and len(part)):
            found = f"its {kind} images are {type(part).__name__}"
            raise UserError(f"{found}, expected a non-empty data set with __len__ and __getitem__")
    return splits


@contextmanager
def _failures(name: str) -> Iterator[None]:
    """Report in one line what the user's code refuses, such as a folder that is not there; other errors are bugs."""
    try:
        yield
    except UserError as error:
        raise UserError(f"dataset {name}: {error}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"dataset {name}: {describe_error(error)}") from error


def _splits_of_module(module: Any, kind: type) -> OwnSplits:
    """Return the data sets of a LightningDataModule's loaders; their mini-batches and order are our own."""
    base = next(each for each in kind.__mro__ if each.__name__ == "LightningDataModule")

    def dataset_of(loader: str) -> Any:
        if getattr(kind, loader) is getattr(base, loader):
            return None
        given = getattr(module, loader)()
        if isinstance(given, list | tuple) and len(given) == 1:
            given = given[0]
        if not isinstance(given, torch.utils.data.DataLoader):
            raise UserError(f"{loader} returns {type(given).__name__}, expected one DataLoader")
        return _of_sampler(given.dataset, getattr(given.batch_sampler, "sampler", None), loader)

    module.prepare_data()
    module.setup("fit")
    train, val = dataset_of("train_dataloader"), dataset_of("val_dataloader")
    module.setup("test")
    return OwnSplits(train, val, dataset_of("test_dataloader"), getattr(module, "classes", None))


def _of_sampler(dataset: Any, sampler: Any, loader: str) -> Any:
    """Return the images of a data set that a sampler leaves, in their order; two loaders may share one data set."""
    if isinstance(sampler, SubsetRandomSampler):
        return Subset(dataset, sorted(map(int, sampler.indices)))
    # Others choose an order, or how often an image is seen.
    if sampler is None or type(sampler).__module__.startswith("torch.utils.data."):
        return dataset
    kind = type(sampler).__name__
    raise UserError(f"{loader} has a {kind}, which may choose any images; use a Subset of the data instead")


class _Rows:
    """A part of a Hugging Face data set: its encoded images, whose pixels we read as those of a folder."""

    def __init__(self, rows: Any, image: str, label: str) -> None:
        self._rows, self._image, self._label = rows, image, label
        self.classes = rows.features[label].names

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[dict[str, Any], int]:
        row = self._rows[index]
        return row[self._image], row[self._label]


def _saved_splits(folder: str) -> OwnSplits:
    """Return the parts of a data set that ``save_to_disk`` wrote; no code of it is run, nothing is downloaded."""
    try:
        from datasets import ClassLabel, DatasetDict, load_from_disk
        from datasets import Image as ImageColumn
    except ImportError:
        raise UserError("needs the package datasets of Hugging Face: pip install 'naswot-lightning[hf]'") from None
    parts = load_from_disk(folder)
    if not isinstance(parts, DatasetDict) or "train" not in parts:
        raise UserError("expected a DatasetDict with a part called train (Dataset.train_test_split makes one)")
    columns = parts["train"].features
    images = [name for name, kind in columns.items() if isinstance(kind, ImageColumn)]
    labels = [name for name, kind in columns.items() if isinstance(kind, ClassLabel)]
    if len(images) != 1 or len(labels) != 1:
        raise UserError(f"its columns are {', '.join(columns)}, expected one Image and one ClassLabel column")
    parts = parts.cast_column(images[0], ImageColumn(decode=False))
    names = {part: _Rows(rows, images[0], labels[0]) for part, rows in parts.items()}
    val = next((names[name] for name in _VALIDATION if name in names), None)
    return OwnSplits(names["train"], val, names.get("test"), columns[labels[0]].names)


def _read(name: str, splits: OwnSplits, image_size: int | None) -> Dataset:
    """Read all images and labels."""
    # The same number stands for the same class in all.
    named = {kind: each for kind, part in zip(_KINDS, splits[:3], strict=True) if (each := _classes_of(part))}
    classes = list(map(str, splits.classes or ())) or named.get("training", [])
    for kind, found in named.items():
        if found != named.get("training", found):
            raise UserError(
                f"the classes of its {kind} images, {', '.join(found[:10])}, differ from those of its training images"
            )
    total = sum(0 if part is None else len(part) for part in splits[:3])
    train = _read_split("training", splits.train, image_size, total)
    side = image_size or int(train.images.shape[1])
    val = None if splits.val is None else _read_split("validation", splits.val, side, total)
    test = None if splits.test is None else _read_split("test", splits.test, side, total)
    highest = max(int(part.labels.max()) for part in (train, val, test) if part is not None)
    if classes and highest >= len(classes):
        raise UserError(f"a label is {highest}, but there are only {len(classes)} classes: {', '.join(classes[:10])}")
    return assemble(name, train, val, test, classes or list(map(str, range(highest + 1))))


def _classes_of(part: Any) -> list[str]:
    """Return the attribute of a data set, or of the one that it is a Subset of; empty without."""
    while not hasattr(part, "classes") and hasattr(part, "dataset"):
        part = part.dataset
    classes: Sequence[str] = getattr(part, "classes", None) or ()
    return list(map(str, classes))


def _read_split(kind: str, dataset: Any, image_size: int | None, total: int) -> ImageSplit:
    labels = torch.empty(len(dataset), dtype=torch.int64)

    def read(index: int) -> np.ndarray:
        where = f"{kind} image {index}"
        sample = dataset[index]
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            raise UserError(f"{where} is {type(sample).__name__}, expected (image, label)")
        image, label = sample
        try:
            labels[index], value = int(label), float(label)
        except (TypeError, ValueError):
            raise UserError(f"{where}: its label is {type(label).__name__}, expected a number") from None
        if value < 0 or value != labels[index]:
            raise UserError(f"{where}: its label is {value:g}, expected a whole number, 0 or more")
        return _pixels(where, image, image_size)

    # One after the other: what the user opened need not be safe for threads.
    images = decode_all(read, len(dataset), total)
    if isinstance(images, LazyImages):
        # For their labels.
        for index in range(len(dataset)):
            read(index)
    return ImageSplit(images, labels)


def _pixels(where: str, image: Any, image_size: int | None) -> np.ndarray:
    """Return an image as (H, W, 3) uint8, resized as those of a folder."""
    if isinstance(image, dict):
        # Of Hugging Face: the content of a file, or its path.
        return read_image(BytesIO(image["bytes"]) if image["bytes"] else image["path"], image_size, where=where)
    if isinstance(image, Tensor | np.ndarray):
        image = Image.fromarray(_bytes(where, torch.as_tensor(image)))
    if not isinstance(image, Image.Image):
        raise UserError(f"{where} is {type(image).__name__}, expected a PIL image, or a uint8 tensor")
    return resized(to_bytes(where, image).convert("RGB"), image_size)


def _bytes(where: str, image: Tensor) -> np.ndarray:
    """Return a tensor (C, H, W), (H, W, C) or (H, W) as (H, W, C) or (H, W) uint8."""
    if image.dim() == 3 and image.shape[0] in (1, 3, 4):
        image = image.permute(1, 2, 0)
    if image.dim() == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.dim() not in (2, 3) or (image.dim() == 3 and image.shape[2] not in (3, 4)):
        raise UserError(f"{where} has the shape {tuple(image.shape)}, expected (C, H, W) with 1, 3 or 4 channels")
    if image.is_floating_point():
        # What ToTensor makes of 8 bits.
        if not (image.min() >= 0 and image.max() <= 1):
            found = f"{where} has values from {float(image.min()):.3g} to {float(image.max()):.3g}"
            raise UserError(
                f"{found}, expected uint8, or floats from 0 to 1; leave out Normalize, since training normalises"
            )
        image = (255 * image).round()
    elif image.dtype != torch.uint8:
        raise UserError(f"{where} is {image.dtype}, expected uint8".replace("torch.", ""))
    return image.to(torch.uint8).contiguous().numpy()
