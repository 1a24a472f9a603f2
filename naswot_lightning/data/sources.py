"""Data sets by name: the digits of scikit-learn, CIFAR, ImageNet16-120, folders of images, and one's own."""

from __future__ import annotations

import contextlib
import hashlib
import io
import socket
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from naswot_lightning.data import DATASETS, HUGGING_FACE
from naswot_lightning.data.dataset import Dataset, ImageSplit, channel_statistics
from naswot_lightning.data.image_folder import count_training_files, load_image_folder
from naswot_lightning.data.own import count_own, load_own
from naswot_lightning.data.splits import cifar10_valid_halves, divide_test_set, expect_split_file_fits, held_out
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.spaces import is_import_path
from naswot_lightning.storage.foreign import load_plain

DIGITS_SIZE = 16
_TRAINING_IMAGES = {
    "digits": 1_203, "cifar10": 50_000, "cifar10-valid": 25_000, "cifar100": 50_000, "imagenet16-120": 151_700,
}  # fmt: skip

# Mean and standard deviation, of 255, of NAS-Bench-201's recipe.
_CIFAR_STATISTICS = {
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
}
_DOWNLOAD_TIMEOUT_S = 30

# The checksums of NAS-Bench-201 (Dong & Yang, 2020).
IMAGENET16_TRAIN_MD5 = {
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
IMAGENET16_VAL_MD5 = {"val_data": "3410e3017fdaefba8d5073aaa65e4bd6"}
IMAGENET16_CLASSES = 120
IMAGENET16_SIZE = 16
# Mean and standard deviation, of 255, of NAS-Bench-201's recipe.
_IMAGENET16_STATISTICS = ((122.68, 116.66, 104.01), (63.22, 61.26, 65.09))


def load_dataset(
    name: str, data_dir: str | Path = "data", image_size: int | None = None, split_file: str | Path | None = None
) -> Dataset:
    """Load a data set into memory.

    Args:
        name: one of :data:`naswot_lightning.data.DATASETS`, an import path, or ``hf:FOLDER``.
        data_dir: where its files lie, or are downloaded to.
        image_size: side of the images, for an imagefolder or data of one's own.
        split_file: the official x-valid and x-test lists, for ``cifar100`` and ``imagenet16-120`` only; without it
            they are drawn by a seed of our own.

    Raises:
        UserError: unknown name, or missing or damaged files, with what to put where; an import path that nobody
            trusts (:func:`naswot_lightning.spaces.trust`).

    >>> len(load_dataset("digits").train)
    1203
    """
    if is_import_path(name) or name.startswith(HUGGING_FACE):
        expect_split_file_fits(name, split_file)
        return load_own(name, image_size)
    expect_name("dataset", name, DATASETS)
    if image_size is not None and name != "imagefolder":
        raise UserError(
            f"--image_size {image_size}: the image size of {name} is fixed; this option is only for imagefolder "
            "and your own data"
        )
    expect_split_file_fits(name, split_file)
    if name == "digits":
        return load_digits()
    if name == "imagefolder":
        return load_image_folder(Path(data_dir), image_size)
    if name == "imagenet16-120":
        return load_imagenet16_120(Path(data_dir), split_file)
    return load_cifar(name, Path(data_dir), split_file)


def count_training_images(name: str, data_dir: str | Path = "data") -> int:
    """Return how many images of a data set are trained on; none is decoded. Errors as :func:`load_dataset`.

    >>> count_training_images("digits"), count_training_images("cifar10-valid")
    (1203, 25000)
    """
    if name == "imagefolder":
        return count_training_files(Path(data_dir))
    return _TRAINING_IMAGES[name] if name in _TRAINING_IMAGES else count_own(name)


def load_digits() -> Dataset:
    """Return scikit-learn's digits as 3x16x16 images: 1,203 to train, 297 to validate, 297 to test; never mirrored.

    They are 1,797 real images of handwritten digits (Alpaydin & Kaynak, 1998).
    """
    from sklearn.datasets import load_digits as load_arrays

    arrays = load_arrays()
    # (N, 1, 8, 8), 0 to 16 in the source.
    small = torch.from_numpy(arrays.images).float()[:, None] * (255 / 16)
    large = F.interpolate(small, size=DIGITS_SIZE, mode="bilinear", align_corners=False)
    images = large.round().to(torch.uint8).permute(0, 2, 3, 1).expand(-1, -1, -1, 3).contiguous()
    whole = ImageSplit(images, torch.as_tensor(arrays.target, dtype=torch.int64))
    rest, test = held_out(len(images), 297 / 1797)
    keep, hold = held_out(len(rest), 297 / 1500, seed=1)
    train, val = (whole.take([rest[i] for i in part]) for part in (keep, hold))
    mean, std = channel_statistics(train)
    return Dataset("digits", train, val, whole.take(test), 10, mean, std, flip=False, crop_padding=1)


def load_cifar(name: str, data_dir: Path, split_file: str | Path | None = None) -> Dataset:
    """Return a data set of NAS-Bench-201 that consists of CIFAR's images, downloaded where there is a network.

    - ``cifar10``: 50,000 images to train, none to validate, 10,000 to test;
    - ``cifar10-valid``: 25,000 of the training images to train, the other 25,000 to validate, 10,000 to test;
    - ``cifar100``: 50,000 images to train; 5,000 of the test images to validate, the other 5,000 to test.
    """
    from torchvision import datasets

    source: Any = datasets.CIFAR100 if name == "cifar100" else datasets.CIFAR10
    (train, classes), (test, _) = (
        _read_cifar(source, name.removesuffix("-valid"), data_dir, part) for part in (True, False)
    )
    val: ImageSplit | None = None
    val_name: str | None = None
    test_name = "ori-test"
    if name == "cifar10-valid":
        halves = cifar10_valid_halves(len(train))
        (train, val), val_name = (train.take(half) for half in halves), "x-valid"
    elif name == "cifar100":
        halves, (val_name, test_name) = divide_test_set(name, len(test), split_file)
        val, test = (test.take(half) for half in halves)
    mean, std = _CIFAR_STATISTICS[name.removesuffix("-valid")]
    return Dataset(
        name, train, val, test, len(classes), mean, std,
        flip=True, crop_padding=4, val_name=val_name, test_name=test_name, classes=tuple(classes),
    )  # fmt: skip


def load_imagenet16_120(data_dir: Path, split_file: str | Path | None = None) -> Dataset:
    """Return ImageNet16-120, the first 120 classes of ImageNet at 16x16: 151,700 images to train, 3,000 and 3,000.

    The eleven official files lie in ``data_dir``, or in its folder ``ImageNet16``.
    """
    folder = data_dir / "ImageNet16" if (data_dir / "ImageNet16").is_dir() else data_dir
    # Every file is compared with its checksum before any is read as a pickle.
    faults = []
    for name, expected in (IMAGENET16_TRAIN_MD5 | IMAGENET16_VAL_MD5).items():
        if not (folder / name).is_file():
            faults.append(f"missing {name} (md5 {expected})")
            continue
        found = hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()
        if found != expected:
            faults.append(f"damaged {name} (md5 {found}, expected {expected})")
    if faults:
        raise UserError(
            f"imagenet16-120 in {folder}: {', '.join(faults)}; get the downsampled 16x16 images from image-net.org "
            "(after a login) or from the shared drive that NAS-Bench-201's README links, and put them there, "
            "or name their folder with --data_dir"
        )
    train, both = (_read_imagenet16(folder, names) for names in (IMAGENET16_TRAIN_MD5, IMAGENET16_VAL_MD5))
    (valid, test), (val_name, test_name) = divide_test_set("imagenet16-120", len(both), split_file)
    return Dataset(
        "imagenet16-120", train, both.take(valid), both.take(test), IMAGENET16_CLASSES, *_IMAGENET16_STATISTICS,
        flip=True, crop_padding=2, val_name=val_name, test_name=test_name,
    )  # fmt: skip


def _read_cifar(source: Any, name: str, data_dir: Path, train: bool) -> tuple[ImageSplit, list[str]]:
    """Return training or test images and the names of their classes, downloaded where absent or damaged."""
    # torchvision compares the checksum of every file.
    try:
        images = source(str(data_dir), train=train)
    except RuntimeError:
        archive = data_dir / source.filename
        state = "damaged or incomplete" if (data_dir / source.base_folder).exists() or archive.exists() else "missing"
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                images = source(str(data_dir), train=train, download=True)
        except (OSError, RuntimeError, EOFError, ValueError) as error:
            reason = str(getattr(error, "reason", error)).splitlines()[0]
            raise UserError(
                f"{name} in {data_dir} is {state} and cannot be downloaded ({reason}): put the official "
                f"{source.filename} (md5 {source.tgz_md5}) or its extracted folder {source.base_folder}/ there, "
                "or name its folder with --data_dir"
            ) from error
        finally:
            socket.setdefaulttimeout(before)
    return ImageSplit(torch.from_numpy(images.data), torch.tensor(images.targets, dtype=torch.int64)), images.classes


def _read_imagenet16(folder: Path, names: dict[str, str]) -> ImageSplit:
    """Read the images of the first 120 classes; in the files their labels begin at 1."""
    images, labels = [], []
    for path in (folder / name for name in names):
        content = load_plain(io.BytesIO(path.read_bytes()), path)
        data, targets = (content.get(key) for key in ("data", "labels")) if isinstance(content, dict) else (None, None)
        # (n, 768): the channels of an image one after the other.
        shape = (len(targets) if isinstance(targets, list) else 0, 3 * IMAGENET16_SIZE**2)
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != shape:
            raise UserError(
                f"{path}: expected a dictionary of data, (n, {shape[1]}) uint8, and n labels; download it again"
            )
        classes = np.asarray(targets, dtype=np.int64)
        kept = (classes >= 1) & (classes <= IMAGENET16_CLASSES)
        images.append(data[kept])
        labels.append(classes[kept] - 1)
    pixels = np.concatenate(images).reshape(-1, 3, IMAGENET16_SIZE, IMAGENET16_SIZE)
    return ImageSplit(torch.from_numpy(pixels.transpose(0, 2, 3, 1).copy()), torch.from_numpy(np.concatenate(labels)))
