"""A data set in memory, uint8 images and labels, and the file of it that the processes of all picks map."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from naswot_lightning.errors import UserError, reason_of
from naswot_lightning.storage.files import atomic_path, remove_unfinished
from naswot_lightning.storage.foreign import FAULTS


@dataclass(frozen=True)
class ImageSplit:
    """One split of a data set."""

    images: Tensor
    """(N, H, W, 3) uint8; the memory of a channels_last mini-batch."""
    labels: Tensor
    """(N,) int64."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: list[int]) -> ImageSplit:
        """Return the images of these indices."""
        return ImageSplit(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """Three splits, and how their images are normalised and augmented."""

    name: str
    train: ImageSplit
    val: ImageSplit | None
    """None where the benchmark has no validation set (``cifar10``)."""
    test: ImageSplit
    num_classes: int
    mean: tuple[float, ...]
    """Mean of each channel, of 255."""
    std: tuple[float, ...]
    """Standard deviation of each channel, of 255."""
    flip: bool
    """Whether training images are mirrored at random."""
    crop_padding: int
    """Pixels of zero padding before a random crop of the original size."""
    val_name: str | None = "val"
    """The benchmark's name of the validation set; None where there is none."""
    test_name: str = "test"
    """The benchmark's name of the test set."""
    classes: tuple[str, ...] = ()
    """The names of the classes; numbers where none are known."""

    def __post_init__(self) -> None:
        if not self.classes:
            object.__setattr__(self, "classes", tuple(map(str, range(self.num_classes))))

    @property
    def image_size(self) -> int:
        """Side of the square images."""
        return int(self.train.images.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all images, labels and how they are treated: 0.1 s for CIFAR-10."""
        digest = hashlib.sha256(repr((self.mean, self.std, self.flip, self.crop_padding)).encode())
        for split in (self.train, self.val, self.test):
            if split is not None:
                digest.update(repr(split.images.shape).encode())
                digest.update(split.images.contiguous().numpy().data)
                digest.update(split.labels.contiguous().numpy().data)
        return digest.hexdigest()[:16]


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel of (N, H, W, C) uint8 images, rounded to 0.01."""
    flat = images.reshape(-1, images.shape[-1]).double()
    deviation = flat.std(0, correction=0).clamp_min(1.0)
    return tuple(round(v, 2) for v in flat.mean(0).tolist()), tuple(round(v, 2) for v in deviation.tolist())


def store_dataset(dataset: Dataset, path: Path) -> None:
    """Write a data set into one file, which other processes map; those that have mapped another one there keep it.

    Only one process may write it at a time.

    Raises:
        OSError: the disk is full or cannot be written; nothing is left behind.
    """
    # The fingerprint is computed once, here, and stored with the fields.
    _ = dataset.fingerprint
    content = {
        name: (value.images.contiguous(), value.labels) if isinstance(value, ImageSplit) else value
        for name, value in vars(dataset).items()
    }
    remove_unfinished(path)
    with atomic_path(path) as beside, open(beside, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # torch says only at which byte it stopped; the reason of the system is the error that it was handling.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def map_dataset(path: Path) -> Dataset:
    """Return the data set of a file; its tensors are pages of the file, which all processes share.

    A process that writes to a tensor changes its own copy of the page only. The file may be removed meanwhile.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        content = torch.load(path, mmap=True, weights_only=True)
        fingerprint = content.pop("fingerprint")
        splits = {name: ImageSplit(*content.pop(name)) for name in ("train", "val", "test") if content[name]}
        dataset = Dataset(**{"val": None, **content, **splits})
    except (OSError, *FAULTS) as error:
        reason = reason_of(error)
        raise UserError(f"{path}: the stored images cannot be used ({reason}); run the command again") from None
    # What the cached property would compute from all images.
    vars(dataset)["fingerprint"] = fingerprint
    return dataset
