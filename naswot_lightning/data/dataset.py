"""A data set in memory: uint8 images, labels, and how they are normalised and augmented."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


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

    @cached_property
    def fingerprint(self) -> str:
        """Of all images and labels, and how they are normalised: 0.1 s for CIFAR-10."""
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


def split_tensors(images: Tensor, labels: Tensor, parts: list[list[int]]) -> list[ImageSplit]:
    """Return one split for each list of indices."""
    whole = ImageSplit(images, torch.as_tensor(labels, dtype=torch.int64))
    return [whole.take(part) for part in parts]
