"""A folder of classes: DATA_DIR/train/CLASS/* beside test/ or val/ or both (Imagenette's layout too)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from naswot_lightning.data.dataset import Dataset, ImageSplit, channel_statistics
from naswot_lightning.data.splits import held_out
from naswot_lightning.errors import UserError

_VALIDATION_FRACTION = 0.1


def load_image_folder(data_dir: Path, image_size: int | None = None) -> Dataset:
    """Return the images of a folder.

    With both ``val/`` and ``test/`` they are what they say; with one of them it is the test set, and a tenth of
    ``train/`` is held out to validate.

    Args:
        data_dir: the folder that holds ``train/``.
        image_size: side to which the shorter side is resized, then cropped at the centre; not needed where all
            images are squares of one size.

    Raises:
        UserError: a folder is missing, classes differ, or an image cannot be read.
    """
    train, classes = _read_split(data_dir, "train", image_size)
    found = [name for name in ("val", "test") if (data_dir / name).is_dir()]
    if not found:
        raise UserError(f"{data_dir} has no test/ or val/ folder beside train/: expected test/CLASS/image files")
    others = [_read_split(data_dir, name, image_size or train.images.shape[1], classes)[0] for name in found]
    if len(others) == 2:
        val, test = others
    else:
        test = others[0]
        keep, hold = held_out(len(train), _VALIDATION_FRACTION)
        train, val = train.take(keep), train.take(hold)
    mean, std = channel_statistics(train.images)
    crop_padding = max(1, train.images.shape[1] // 8)  # 4 for 32x32, as on CIFAR
    return Dataset("imagefolder", train, val, test, len(classes), mean, std, flip=True, crop_padding=crop_padding)


def _read_split(
    data_dir: Path, split: str, image_size: int | None, expected: list[str] | None = None
) -> tuple[ImageSplit, list[str]]:
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    folder = data_dir / split
    if not folder.is_dir():
        raise UserError(
            f"{data_dir} has no {split}/ folder: expected {split}/CLASS/image files; name the folder that holds "
            "it with --data_dir"
        )
    try:
        classes, class_to_index = find_classes(str(folder))
        samples = make_dataset(str(folder), class_to_index, extensions=IMG_EXTENSIONS)
    except FileNotFoundError as error:
        raise UserError(str(error).replace("\n", " ")) from None
    if expected is not None and classes != expected:
        odd = ", ".join(sorted(set(classes) ^ set(expected)))
        raise UserError(f"{folder}: its classes are not those of train/; in one of them only: {odd}")
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(partial(_decode, image_size), (path for path, _ in samples)))
    _expect_one_size(images, samples)
    labels = torch.tensor([label for _, label in samples], dtype=torch.int64)
    return ImageSplit(torch.from_numpy(np.stack(images)), labels), classes


def _decode(image_size: int | None, path: str) -> np.ndarray:
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not a readable image ({error}); replace or remove it") from error
    if image_size is not None and image.size != (image_size, image_size):
        image = _resize_and_crop(image, image_size)
    return np.asarray(image)


def _resize_and_crop(image: Image.Image, size: int) -> Image.Image:
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def _expect_one_size(images: list[np.ndarray], samples: list[tuple[str, int]]) -> None:
    first = images[0].shape
    for image, (path, _) in zip(images, samples, strict=True):
        if image.shape != first or first[0] != first[1]:
            raise UserError(
                f"{path} is {image.shape[1]}x{image.shape[0]}, others differ or are not square: give a side "
                "with --image_size"
            )
