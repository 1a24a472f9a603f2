"""A folder of classes: DATA_DIR/train/CLASS/* beside test/ or val/ or both (Imagenette's layout too)."""

from __future__ import annotations

import os
import stat
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from naswot_lightning.data.dataset import Dataset, ImageSplit, channel_statistics, decode_all
from naswot_lightning.data.splits import held_out
from naswot_lightning.errors import UserError

_VALIDATION_FRACTION = 0.1

# What is decoded: 200 MB an image.
_MAX_SIDE = 16_384
_MAX_PIXELS = 8_192 * 8_192
# Resized to the shorter side, an image takes as much memory as it is longer.
_MAX_RATIO = 100
_MAX_IMAGE_SIZE = 4_096
_LARGEST = (
    f"expected at most {_MAX_SIDE:,} pixels a side and {_MAX_PIXELS / 1e6:.0f} million in all; resize or remove it"
)
_ODD = "others differ or are not square: give a side with --image_size"
# What the suffixes of image files stand for, and GIF: Pillow would run a program to draw an EPS file named .jpg.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class _Listed(NamedTuple):
    """The files of a split."""

    classes: list[str]
    paths: list[str]
    labels: list[int]


def load_image_folder(data_dir: Path, image_size: int | None = None) -> Dataset:
    """Return the images of a folder.

    With both ``val/`` and ``test/`` they are what they say; with one of them it is the test set, and a tenth of
    ``train/`` is held out to validate.

    The shorter side of an image is resized to ``image_size``, and the longer one cropped at the centre; it is not
    needed where all images are squares of one size.
    """
    if image_size is not None and image_size > _MAX_IMAGE_SIZE:
        raise UserError(f"--image_size {image_size}: expected at most {_MAX_IMAGE_SIZE:,}")
    listed = _list_splits(data_dir)
    classes, paths, labels = listed["train"]
    total = sum(len(each.paths) for each in listed.values())
    train = _read_split(paths, labels, image_size, total)
    side = image_size or train.images.shape[1]
    others = {name: _read_split(*listed[name][1:], side, total) for name in listed if name != "train"}
    return assemble("imagefolder", train, others.get("val"), others.get("test"), classes)


def count_training_files(data_dir: Path) -> int:
    """Return how many images of a folder are trained on; none is opened."""
    listed = _list_splits(data_dir)
    return count_kept(len(listed["train"][1]), {"val", "test"} <= set(listed))


def count_kept(training: int, has_both: bool) -> int:
    """Return how many training images are left where, without both validation and test images, some are held out."""
    return training if has_both else len(held_out(training, _VALIDATION_FRACTION)[0])


def assemble(
    name: str, train: ImageSplit, val: ImageSplit | None, test: ImageSplit | None, classes: list[str]
) -> Dataset:
    """Return a data set of the user's images; if only one of ``val`` and ``test`` is there, it is the test set.

    A tenth of the training images is then held out to validate.
    """
    if val is None or test is None:
        test = test or val
        assert test is not None
        keep, hold = held_out(len(train), _VALIDATION_FRACTION)
        train, val = train.take(keep), train.take(hold)
    mean, std = channel_statistics(train)
    # 4 for 32x32, as on CIFAR.
    crop_padding = max(1, train.images.shape[1] // 8)
    return Dataset(
        name, train, val, test, len(classes), mean, std,
        flip=True, crop_padding=crop_padding, classes=tuple(classes),
    )  # fmt: skip


def _list_splits(data_dir: Path) -> dict[str, _Listed]:
    """Return what there is of train, val and test."""
    train = _list_split(data_dir, "train")
    others = [name for name in ("val", "test") if (data_dir / name).is_dir()]
    if not others:
        raise UserError(f"{data_dir} has no test/ or val/ folder next to train/; expected test/CLASS/image files")
    return {"train": train} | {name: _list_split(data_dir, name, train.classes) for name in others}


def _list_split(data_dir: Path, split: str, expected: list[str] | None = None) -> _Listed:
    """Return the files of a split, in the order of torchvision's ``ImageFolder``."""
    folder = data_dir / split
    if not folder.is_dir():
        raise UserError(
            f"{data_dir} has no {split}/ folder; expected {split}/CLASS/image files; name the folder that contains "
            "it with --data_dir"
        )
    try:
        # Names with a dot are what programs leave behind: .DS_Store, ._cat.png, .ipynb_checkpoints.
        classes = sorted(each.name for each in os.scandir(folder) if each.is_dir() and not each.name.startswith("."))
        others = [data_dir, folder, *(folder / name for name in classes)]
        found = [_images_of(folder / name, others) for name in classes]
    except OSError as error:
        raise UserError(" ".join(str(error).split())) from None
    if not classes:
        raise UserError(f"{folder} has no class folders; expected {split}/CLASS/image files")
    empty = [name for name, paths in zip(classes, found, strict=True) if not paths]
    if empty:
        raise UserError(
            f"{folder} has no images of {', '.join(empty)}; expected files with {', '.join(IMAGE_SUFFIXES)}"
        )
    if expected is not None and classes != expected:
        odd = ", ".join(sorted(set(classes) ^ set(expected)))
        raise UserError(f"{folder}: its classes differ from those of train/; only one of the two has {odd}")
    labels = [label for label, each in enumerate(found) for _ in each]
    return _Listed(classes, [path for each in found for path in each], labels)


def _read_split(paths: list[str], labels: list[int], image_size: int | None, total: int) -> ImageSplit:
    shape = None if image_size else read_image(paths[0], None).shape

    def read(index: int) -> np.ndarray:
        return read_image(paths[index], image_size, shape)

    images = decode_all(read, len(paths), total, os.cpu_count() or 1)
    return ImageSplit(images, torch.tensor(labels, dtype=torch.int64))


def _images_of(folder: Path, others: list[Path]) -> list[str]:
    """Return the image files of a class.

    Links are followed, to each folder once, and not to those that hold this one or are another class.
    """
    seen = set(map(os.path.realpath, others)) - {os.path.realpath(folder)}
    found = []
    for root, folders, names in os.walk(folder, followlinks=True):
        if (this := os.path.realpath(root)) in seen:
            folders.clear()
            continue
        seen.add(this)
        # Of two links to a folder the first counts, in whatever order a file system gives them.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [(root, name) for name in names if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")]
    return [os.path.join(*each) for each in sorted(found)]


def read_image(
    file: str | BytesIO, image_size: int | None, shape: tuple[int, ...] | None = None, where: str | None = None
) -> np.ndarray:
    """Return one image, (H, W, 3) uint8, resized and cropped to a side where that is given, else of that shape.

    A message calls it ``where``, by default by its path. One that is larger than is decoded is refused by its header.
    """
    where = where or str(file)
    try:
        # A device or pipe may have no end.
        if isinstance(file, str) and not stat.S_ISREG(os.stat(file).st_mode):
            raise UserError(f"{where} is not a regular file; replace or remove it")
        with Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if max(image.size) > _MAX_SIDE or width * height > _MAX_PIXELS:
                raise UserError(f"{where} is too large: {width}x{height}, {_LARGEST}")
            if max(image.size) > _MAX_RATIO * min(image.size):
                longer = f"its longer side is more than {_MAX_RATIO} times the shorter one; crop or remove it"
                raise UserError(f"{where} is {width}x{height}: {longer}")
            if shape is not None and ((height, width) != shape[:2] or width != height):
                raise UserError(f"{where} is {width}x{height}, {_ODD}")
            return resized(to_bytes(where, image).convert("RGB"), image_size)
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{where} is too large: {_LARGEST}") from None
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{where} is not a readable image ({reason}); replace or remove it") from error


def resized(image: Image.Image, image_size: int | None) -> np.ndarray:
    """Return an image, (H, W, 3), whose shorter side is resized to a side, and whose middle square is cut out."""
    if image_size is None or image.size == (image_size, image_size):
        return np.asarray(image)
    scale = image_size / min(image.size)
    width, height = (max(image_size, round(side * scale)) for side in image.size)
    left, top = (width - image_size) // 2, (height - image_size) // 2
    larger = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(larger.crop((left, top, left + image_size, top + image_size)))


def to_bytes(where: str, file: Image.Image) -> Image.Image:
    """Return an image of 8 bits per channel; Pillow would read all above 255 as white."""
    if file.mode not in ("I", "F") and not file.mode.startswith("I;16"):
        return file
    if file.mode == "F" or (file.mode == "I" and file.format not in ("PNG", "PPM")):
        unknown = "whose range is unknown; save it with 8 or 16 bits"
        raise UserError(f"{where} has floats or 32-bit integers, {unknown}")
    # As Pillow reads colours of 16 bits.
    bits = file.tag_v2.get(BITSPERSAMPLE, (16,))[0] if isinstance(file, TiffImageFile) else 16
    return Image.fromarray((np.asarray(file) >> (bits - 8)).astype(np.uint8))
