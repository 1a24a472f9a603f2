"""ImageNet16-120: the first 120 classes of ImageNet at 16x16, from the official files alone."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import torch

from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.data.splits import divide_test_set
from naswot_lightning.errors import UserError
from naswot_lightning.storage.plain_pickle import load_plain

# The checksums of NAS-Bench-201 (Dong & Yang, 2020).
TRAIN_MD5 = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
}
VAL_MD5 = {"val_data": "3410e3017fdaefba8d5073aaa65e4bd6"}

NUM_CLASSES = 120
IMAGE_SIZE = 16
# Mean and standard deviation, of 255, of NAS-Bench-201's recipe.
_MEAN = (122.68, 116.66, 104.01)
_STD = (63.22, 61.26, 65.09)
_SUBFOLDER = "ImageNet16"
_BLOCK = 1 << 20


def load_imagenet16_120(data_dir: Path, split_file: str | Path | None = None) -> Dataset:
    """Return ImageNet16-120: 151,700 images to train, 3,000 to validate, 3,000 to test.

    Args:
        data_dir: the folder of the eleven official files, or the one that holds them in ``ImageNet16/``.
        split_file: the official x-valid and x-test lists; without it the two are drawn by our own seed.

    Raises:
        UserError: files are missing or are not the official ones, or the lists are at fault.
    """
    folder = data_dir / _SUBFOLDER if (data_dir / _SUBFOLDER).is_dir() else data_dir
    _expect_official(folder, TRAIN_MD5 | VAL_MD5)
    train, both = _read(folder, TRAIN_MD5), _read(folder, VAL_MD5)
    (valid, test), (val_name, test_name) = divide_test_set("imagenet16-120", len(both), split_file)
    return Dataset(
        "imagenet16-120", train, both.take(valid), both.take(test), NUM_CLASSES, _MEAN, _STD,
        flip=True, crop_padding=2, val_name=val_name, test_name=test_name,
    )  # fmt: skip


def _expect_official(folder: Path, checksums: dict[str, str]) -> None:
    """Compare every file with its checksum before any is read as a pickle."""
    missing = [name for name in checksums if not (folder / name).is_file()]
    damaged = [
        f"{name} (md5 {found}, expected {expected})"
        for name, expected in checksums.items()
        if name not in missing and (found := _md5(folder / name)) != expected
    ]
    faults = [*(f"missing {name} (md5 {checksums[name]})" for name in missing), *(f"damaged {d}" for d in damaged)]
    if faults:
        raise UserError(
            f"imagenet16-120 in {folder}: {', '.join(faults)}; get the downsampled 16x16 images from image-net.org "
            "(after a login) or from the shared drive that NAS-Bench-201's README links, and put them there, "
            "or name their folder with --data_dir"
        )


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _read(folder: Path, names: dict[str, str]) -> ImageSplit:
    parts = [_read_batch(folder / name) for name in names]
    images = np.concatenate([images for images, _ in parts]).reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE)
    labels = np.concatenate([labels for _, labels in parts])
    return ImageSplit(torch.from_numpy(images.transpose(0, 2, 3, 1).copy()), torch.from_numpy(labels))


def _read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 768) uint8 pixels, channels first, and (n,) int64 labels from 0, of the first 120 classes."""
    content = load_plain(io.BytesIO(path.read_bytes()), path)
    pixels, labels = (content.get(key) for key in ("data", "labels")) if isinstance(content, dict) else (None, None)
    shape = (len(labels) if isinstance(labels, list) else 0, 3 * IMAGE_SIZE**2)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != shape:
        raise UserError(
            f"{path}: expected a dictionary of data, (n, {shape[1]}) uint8, and n labels; get the file anew"
        )
    labels = np.asarray(labels, dtype=np.int64)
    kept = (labels >= 1) & (labels <= NUM_CLASSES)
    return pixels[kept], labels[kept] - 1
