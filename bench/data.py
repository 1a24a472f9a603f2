"""The way of the images: from memory to a normalised mini-batch, and from disk to memory."""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import datasets, transforms

from bench.clock import Rows, medians
from naswot_lightning.data.augmentation import draw_placements, placed, placed_by_indices
from naswot_lightning.data.dataset import Dataset, ImageSplit, map_dataset, store_dataset
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.data.sources import load_dataset

BATCH, IMAGES, WORKERS, PASSES = 256, 20_480, 2, 10
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
PADDING = 4


def random_split(count: int, size: int = 32) -> ImageSplit:
    """Return images with random pixels, and labels of ten classes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, size, size, 3), dtype=torch.uint8, generator=generator)
    return ImageSplit(images, torch.randint(10, (count,), generator=generator))


def random_dataset(train: int, test: int, size: int = 32) -> Dataset:
    """Return a data set treated as CIFAR-10 with random pixels, without validation."""
    return Dataset(
        "cifar10", random_split(train, size), None, random_split(test, size), 10, MEAN, STD, True, PADDING, None
    )


class PerImage(TorchDataset[tuple[Tensor, int]]):
    """What torchvision's CIFAR10 does with each image."""

    def __init__(self, split: ImageSplit) -> None:
        self._images = split.images[:].numpy()
        self._labels = split.labels.tolist()
        mean, std = (tuple(value / 255 for value in values) for values in (MEAN, STD))
        self._transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomCrop(32, padding=PADDING),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[index])), self._labels[index]


def data_rows() -> Rows:
    """Compare images a second with torchvision's way in two worker processes, then split our time."""
    dataset = random_dataset(IMAGES, 1)
    loader = ImageDataModule("cifar10", "", BATCH, dataset=dataset).train_dataloader()
    theirs = DataLoader(
        PerImage(dataset.train), batch_size=BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )
    generator = torch.Generator().manual_seed(0)
    mean, std = torch.tensor(MEAN), torch.tensor(STD)

    def ours() -> None:
        for _ in range(PASSES):
            for images, _labels in loader:
                placed(images, draw_placements(len(images), True, PADDING, generator), mean, std)

    many, slow = medians((ours, lambda: _drain(theirs)), repeats=5)
    fast = many / PASSES
    images = next(iter(loader))[0]
    draws = draw_placements(BATCH, True, PADDING, generator)
    gather, compiled, operations = medians(
        (
            lambda: _drain(loader),
            lambda: placed(images, draws, mean, std),
            lambda: placed_by_indices(images, draws, mean, std),
        ),
        repeats=20,
    )
    return [
        (f"torchvision, image by image, {WORKERS} workers", f"{IMAGES / slow:,.0f} images/s", "1"),
        ("ours: gathered, drawn, placed, normalised", f"{IMAGES / fast:,.0f} images/s", f"{slow / fast:.1f} x faster"),
        ("of it the DataLoader, a mini-batch", f"{1e3 * gather * BATCH / IMAGES:.2f} ms", ""),
        ("place and normalise a mini-batch, compiled", f"{1e3 * compiled:.2f} ms", ""),
        (
            "the same in operations of torch (accelerators)",
            f"{1e3 * operations:.2f} ms",
            f"equal: {placed(images, draws, mean, std).equal(placed_by_indices(images, draws, mean, std))}",
        ),
    ]


def _drain(loader: Iterable[Any]) -> None:
    for _ in loader:
        pass


def storage_rows() -> Rows:
    """Compare mapping a stored data set with reading CIFAR-10 in its official format."""
    dataset = random_dataset(50_000, 10_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with mock.patch.object(datasets, "CIFAR10", _write_cifar10(dataset, folder)):
            store, read, mapped, touched = medians(
                (
                    lambda: store_dataset(dataset, folder / "stored"),
                    lambda: load_dataset("cifar10", folder),
                    lambda: map_dataset(folder / "stored"),
                    lambda: map_dataset(folder / "stored").train.images[:][:, 0, 0, 0].sum(),
                )
            )
    return [
        ("read the official files", f"{1e3 * read:.0f} ms", "1"),
        ("store, once a run", f"{1e3 * store:.0f} ms", ""),
        ("map", f"{1e3 * mapped:.1f} ms", f"{read / mapped:.0f} x faster"),
        ("map, and read a byte of every image", f"{1e3 * touched:.1f} ms", f"{read / touched:.0f} x faster"),
    ]


def _write_cifar10(dataset: Dataset, folder: Path) -> type[datasets.CIFAR10]:
    """Write the images in the official format; return torchvision's reader with the checksums of these files."""
    images = torch.cat([dataset.train.images[:], dataset.test.images[:]]).permute(0, 3, 1, 2).reshape(6, 10_000, 3072)
    labels = torch.cat([dataset.train.labels, dataset.test.labels]).view(6, 10_000)
    contents: dict[str, Any] = {"batches.meta": {"label_names": list("abcdefghij")}}
    for position, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        contents[name] = {"data": images[position].numpy(), "labels": labels[position].tolist()}
    (folder / "cifar-10-batches-py").mkdir()
    sums = {}
    for name, content in contents.items():
        raw = pickle.dumps(content, protocol=2)
        (folder / "cifar-10-batches-py" / name).write_bytes(raw)
        sums[name] = hashlib.md5(raw).hexdigest()

    trusted = {
        "train_list": [[name, md5] for name, md5 in sums.items() if name.startswith("data")],
        "test_list": [["test_batch", sums["test_batch"]]],
        "meta": {**datasets.CIFAR10.meta, "md5": sums["batches.meta"]},
    }
    return type("Synthetic", (datasets.CIFAR10,), trusted)
