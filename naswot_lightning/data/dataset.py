"""A data set, uint8 images and labels in memory or lazy, and the file of it that the processes of all picks map."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from naswot_lightning.errors import UserError, reason_of
from naswot_lightning.storage.files import atomic_path, remove_unfinished
from naswot_lightning.storage.foreign import FAULTS

# More decoded images than this are not held in memory. A constant, since what follows from it decides results.
IN_MEMORY = 2 * 2**30
# Of images that are not in memory, so many bytes, spread evenly, are what statistics and fingerprint are of.
_SAMPLE = 2**29
_AT_A_TIME = 256


class LazyImages:
    """Images (N, S, S, 3) uint8 that are decoded where they are asked for, by indices as of a tensor.

    Args:
        read: returns one image, (S, S, 3), by its number.
        numbers: (N,) those of the images.
        threads: that may read side by side.
    """

    def __init__(self, read: Callable[[int], np.ndarray], numbers: Tensor, threads: int = 1) -> None:
        self._read, self._numbers, self._threads = read, numbers, threads
        self.shape = torch.Size((len(numbers), *read(int(numbers[0])).shape))

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, indices: Tensor | list[int] | slice) -> Tensor:
        """Decode some images; those that are not squares of one size are a UserError."""
        numbers = self._numbers[indices].tolist()
        images = np.empty((len(numbers), *self.shape[1:]), dtype=np.uint8)
        with warnings.catch_warnings(), ThreadPoolExecutor(self._threads) as pool:
            # What Pillow only warns of is too large for us, too.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for start in range(0, len(numbers), _AT_A_TIME):
                part = numbers[start : start + _AT_A_TIME]
                for index, image in enumerate(pool.map(self._read, part), start):
                    height, width, _ = image.shape
                    if image.shape != self.shape[1:] or height != width:
                        odd = "and others differ or are not square; give a side with --image_size"
                        raise UserError(f"image {numbers[index]} is {width}x{height}, {odd}")
                    images[index] = image
        return torch.from_numpy(images)

    def index_select(self, dim: int, indices: Tensor) -> Tensor:
        """Decode some images, as a tensor gathers them."""
        return self[indices]

    def take(self, indices: list[int]) -> LazyImages:
        """Return the images of these indices, not decoded yet."""
        return LazyImages(self._read, self._numbers[indices], self._threads)


def decode_all(read: Callable[[int], np.ndarray], count: int, total: int, threads: int = 1) -> Tensor | LazyImages:
    """Return images 0 to ``count`` - 1, decoded where ``total`` of them fit into memory."""
    images = LazyImages(read, torch.arange(count), threads)
    return images if total * images.shape[1:].numel() > IN_MEMORY else images[:]


@dataclass(frozen=True)
class ImageSplit:
    """One split of a data set."""

    images: Tensor | LazyImages
    """(N, H, W, 3) uint8; the memory of a channels_last mini-batch."""
    labels: Tensor
    """(N,) int64."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: list[int]) -> ImageSplit:
        """Return the images of these indices."""
        images = self.images
        return ImageSplit(
            images.take(indices) if isinstance(images, LazyImages) else images[indices], self.labels[indices]
        )

    def sample(self) -> Iterator[Tensor]:
        """Yield what statistics and fingerprint are of, in parts: all images, or a sample where they are lazy."""
        if not isinstance(self.images, LazyImages):
            yield from self.images.split(_AT_A_TIME)
            return
        count = min(len(self), max(1, _SAMPLE // self.images.shape[1:].numel()))
        chosen = torch.arange(count) * len(self) // count
        for part in chosen.split(_AT_A_TIME):
            yield self.images[part]


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
        """Digest of all images (a sample where they are lazy), labels and how they are treated: .1 s for CIFAR-10."""
        digest = hashlib.sha256(repr((self.mean, self.std, self.flip, self.crop_padding)).encode())
        for split in (self.train, self.val, self.test):
            if split is not None:
                digest.update(repr(split.images.shape).encode())
                for images in split.sample():
                    digest.update(images.contiguous().numpy().data)
                digest.update(split.labels.contiguous().numpy().data)
        return digest.hexdigest()[:16]


def channel_statistics(split: ImageSplit) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel of uint8 images, of 255, rounded to 0.01."""
    counts = torch.zeros(split.images.shape[-1], 256, dtype=torch.int64)
    for images in split.sample():
        for channel, count in enumerate(counts):
            count += torch.bincount(images[..., channel].flatten(), minlength=256)
    values, shares = torch.arange(256.0, dtype=torch.float64), counts / counts[:1].sum().double()
    mean = shares @ values
    deviation = (shares * (values - mean[:, None]) ** 2).sum(1).sqrt().clamp_min(1.0)
    return tuple(round(v, 2) for v in mean.tolist()), tuple(round(v, 2) for v in deviation.tolist())


def _written(images: Tensor | LazyImages, folder: Path) -> Tensor:
    """Return images whole; lazy ones as pages of a file without a name in a folder, of which memory needs none."""
    if not isinstance(images, LazyImages):
        return images.contiguous()
    with TemporaryFile(dir=folder) as file:
        for start in range(0, len(images), _AT_A_TIME):
            file.write(images[start : start + _AT_A_TIME].numpy().data)
        file.flush()
        return torch.from_numpy(np.memmap(file, np.uint8, "c", shape=tuple(images.shape)))


def store_dataset(dataset: Dataset, path: Path) -> None:
    """Write a data set into one file, which other processes map; those that have mapped another one there keep it.

    Only one process may write it at a time.
    """
    # The fingerprint is computed once, here, and stored with the fields.
    _ = dataset.fingerprint
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        name: (_written(value.images, path.parent), value.labels) if isinstance(value, ImageSplit) else value
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
