"""CIFAR-10 and CIFAR-100 through torchvision, which checks their checksums."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from naswot_lightning.data.dataset import Dataset, ImageSplit, split_tensors
from naswot_lightning.data.splits import held_out
from naswot_lightning.errors import UserError

# Mean and standard deviation, of 255, of NAS-Bench-201's recipe.
_STATISTICS = {
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
}
_VALIDATION_FRACTION = 0.1
_TIMEOUT_SECONDS = 30


def load_cifar(name: str, data_dir: Path, image_size: int | None = None) -> Dataset:
    """Return CIFAR-10 or CIFAR-100: 45,000 images to train, 5,000 to validate, 10,000 to test.

    Args:
        name: "cifar10" or "cifar100".
        data_dir: where the extracted archive lies, or is downloaded to where there is a network.
        image_size: not used; the images are 32x32.

    Raises:
        UserError: the files are missing or damaged and cannot be downloaded.
    """
    train, test = _arrays(name, data_dir, train=True), _arrays(name, data_dir, train=False)
    keep, hold = held_out(len(train), _VALIDATION_FRACTION)
    mean, std = _STATISTICS[name]
    return Dataset(
        name, train.take(keep), train.take(hold), test, int(name.removeprefix("cifar")), mean, std,
        flip=True, crop_padding=4,
    )  # fmt: skip


def _arrays(name: str, data_dir: Path, train: bool) -> ImageSplit:
    from torchvision import datasets

    source = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    try:
        images = source(str(data_dir), train=train)
    except RuntimeError:  # absent or damaged: torchvision compares the checksum of every file
        images = _download(source, name, data_dir, train)
    everything = list(range(len(images.targets)))
    return split_tensors(torch.from_numpy(images.data), torch.tensor(images.targets), [everything])[0]


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
            "or name its place with --data_dir"
        ) from error


@contextlib.contextmanager
def _bounded_wait() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
