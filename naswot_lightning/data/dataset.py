"""A data set in memory: uint8 images, labels, and how they are normalised and augmented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from naswot_lightning.data.splits import expect_split_file_fits
from naswot_lightning.errors import UserError, expect_name


@dataclass(frozen=True)
class ImageSplit:
    """One split.

    Attributes:
        images: (N, H, W, 3) uint8; the memory of a channels_last mini-batch.
        labels: (N,) int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: list[int]) -> ImageSplit:
        """Return the images of these indices."""
        return ImageSplit(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """Three splits and their treatment.

    Attributes:
        val: None where the benchmark has no validation set (``cifar10``).
        mean: of each channel, of 255.
        std: of each channel, of 255.
        flip: whether training images are mirrored at random.
        crop_padding: pixels of zero padding before a random crop of the original size.
        val_name: what the benchmark calls the validation set; None where there is none.
        test_name: what the benchmark calls the test set.
    """

    name: str
    train: ImageSplit
    val: ImageSplit | None
    test: ImageSplit
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    crop_padding: int
    val_name: str | None = "val"
    test_name: str = "test"

    @property
    def image_size(self) -> int:
        """Side of the square images."""
        return int(self.train.images.shape[1])


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel of (N, H, W, C) uint8 images, rounded to 0.01."""
    flat = images.reshape(-1, images.shape[-1]).double()
    deviation = flat.std(0, correction=0).clamp_min(1.0)
    return tuple(round(v, 2) for v in flat.mean(0).tolist()), tuple(round(v, 2) for v in deviation.tolist())


def list_datasets() -> list[str]:
    """Return the names of the data sets that can be trained on."""
    return list(_loaders())


def load_dataset(
    name: str, data_dir: str | Path = "data", image_size: int | None = None, split_file: str | Path | None = None
) -> Dataset:
    """Load a data set into memory.

    Args:
        name: one of :func:`list_datasets`.
        data_dir: where its files lie, or are downloaded to.
        image_size: side of the images, for an imagefolder only.
        split_file: the official x-valid and x-test lists, for ``cifar100`` and ``imagenet16-120`` only.

    Raises:
        UserError: unknown name, or missing or damaged files; the message says what to put where.
    """
    loaders = _loaders(image_size, split_file)
    expect_name("dataset", name, loaders)
    if image_size is not None and name != "imagefolder":
        raise UserError(f"--image_size {image_size}: the size of {name} is fixed; the option is for imagefolder")
    expect_split_file_fits(name, split_file)
    return loaders[name](Path(data_dir))


def _loaders(
    image_size: int | None = None, split_file: str | Path | None = None
) -> dict[str, Callable[[Path], Dataset]]:
    from naswot_lightning.data import cifar
    from naswot_lightning.data.digits import load_digits
    from naswot_lightning.data.image_folder import load_image_folder
    from naswot_lightning.data.imagenet16 import load_imagenet16_120

    return {
        "digits": load_digits,
        "imagefolder": partial(load_image_folder, image_size=image_size),
        "cifar10": cifar.load_cifar10,
        "cifar10-valid": cifar.load_cifar10_valid,
        "cifar100": partial(cifar.load_cifar100, split_file=split_file),
        "imagenet16-120": partial(load_imagenet16_120, split_file=split_file),
    }


def split_tensors(images: Tensor, labels: Tensor, parts: list[list[int]]) -> list[ImageSplit]:
    """Return one split for each list of indices."""
    whole = ImageSplit(images, torch.as_tensor(labels, dtype=torch.int64))
    return [whole.take(part) for part in parts]
