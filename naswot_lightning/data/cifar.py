"""CIFAR-10 and CIFAR-100 through torchvision, which checks their checksums."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.data.splits import cifar10_valid_halves, divide_test_set
from naswot_lightning.errors import UserError

# Mean and standard deviation, of 255, of NAS-Bench-201's recipe.
_STATISTICS = {
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
}
_TIMEOUT_SECONDS = 30


def load_cifar10(data_dir: Path) -> Dataset:
    """Return CIFAR-10 as NAS-Bench-201's ``cifar10``: 50,000 images to train, none to validate, 10,000 to test.

    Args:
        data_dir: where the extracted archive lies, or is downloaded to where there is a network.

    Raises:
        UserError: the files are missing or damaged and cannot be downloaded.
    """
    train, test = _both_splits("cifar10", data_dir)
    return _dataset("cifar10", train, None, test, (None, "ori-test"))


def load_cifar10_valid(data_dir: Path) -> Dataset:
    """Return CIFAR-10 as ``cifar10-valid``: 25,000 images to train, the other 25,000 to validate, 10,000 to test.

    Raises:
        UserError: as :func:`load_cifar10`.
    """
    both, test = _both_splits("cifar10", data_dir)
    train, valid = cifar10_valid_halves(len(both))
    return _dataset("cifar10-valid", both.take(train), both.take(valid), test, ("x-valid", "ori-test"))


def load_cifar100(data_dir: Path, split_file: str | Path | None = None) -> Dataset:
    """Return CIFAR-100: 50,000 images to train; the test images as 5,000 to validate and 5,000 to test.

    Args:
        data_dir: as for :func:`load_cifar10`.
        split_file: the official x-valid and x-test lists; without it the two are drawn by our own seed.

    Raises:
        UserError: as :func:`load_cifar10`, or the lists are at fault.
    """
    train, both = _both_splits("cifar100", data_dir)
    (valid, test), names = divide_test_set("cifar100", len(both), split_file)
    return _dataset("cifar100", train, both.take(valid), both.take(test), names)


def _dataset(
    name: str, train: ImageSplit, val: ImageSplit | None, test: ImageSplit, sets: tuple[str | None, str]
) -> Dataset:
    source = name.removesuffix("-valid")
    mean, std = _STATISTICS[source]
    classes = int(source.removeprefix("cifar"))
    return Dataset(name, train, val, test, classes, mean, std, True, 4, val_name=sets[0], test_name=sets[1])


def _both_splits(name: str, data_dir: Path) -> tuple[ImageSplit, ImageSplit]:
    return _arrays(name, data_dir, train=True), _arrays(name, data_dir, train=False)


def _arrays(name: str, data_dir: Path, train: bool) -> ImageSplit:
    from torchvision import datasets

    source = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    try:
        images = source(str(data_dir), train=train)
    except RuntimeError:  # absent or damaged: torchvision compares the checksum of every file
        images = _download(source, name, data_dir, train)
    return ImageSplit(torch.from_numpy(images.data), torch.tensor(images.targets, dtype=torch.int64))


def _download(source: Any, name: str, data_dir: Path, train: bool) -> Any:
    archive = data_dir / source.filename
    state = "damaged or incomplete" if (data_dir / source.base_folder).exists() or archive.exists() else "not there"
    try:
        with _bounded_wait(), contextlib.redirect_stdout(io.StringIO()):
            return source(str(data_dir), train=train, download=True)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        reason = str(getattr(error, "reason", error)).splitlines()[0]
        raise UserError(
            f"{name} in {data_dir} is {state} and cannot be downloaded ({reason}): put the official "
            f"{source.filename} (md5 {source.tgz_md5}) or its extracted folder {source.base_folder}/ there, "
            "or name its folder with --data_dir"
        ) from error


@contextlib.contextmanager
def _bounded_wait() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
