"""A folder of classes: DATA_DIR/train/CLASS/* beside test/ or val/ or both (Imagenette's layout too)."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from naswot_lightning.data.dataset import Dataset, ImageSplit, channel_statistics
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
# What the suffixes of image files stand for, and GIF: Pillow would run a program to draw an EPS file named .jpg.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


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
    if image_size is not None and image_size > _MAX_IMAGE_SIZE:
        raise UserError(f"--image_size {image_size}: expected at most {_MAX_IMAGE_SIZE:,}")
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
    folder = data_dir / split
    if not folder.is_dir():
        raise UserError(
            f"{data_dir} has no {split}/ folder: expected {split}/CLASS/image files; name the folder that holds "
            "it with --data_dir"
        )
    try:
        # Names with a dot are what programs leave behind: .DS_Store, ._cat.png, .ipynb_checkpoints.
        classes = sorted(each.name for each in os.scandir(folder) if each.is_dir() and not each.name.startswith("."))
        found = [
            _images_of(folder / name, {data_dir, folder, *(folder / each for each in classes)}) for name in classes
        ]
    except OSError as error:
        raise UserError(" ".join(str(error).split())) from None
    if not classes:
        raise UserError(f"{folder} has no folders of classes in it: expected {split}/CLASS/image files")
    empty = [name for name, paths in zip(classes, found, strict=True) if not paths]
    if empty:
        raise UserError(f"{folder} has no images of {', '.join(empty)}; expected files with {', '.join(_SUFFIXES)}")
    if expected is not None and classes != expected:
        odd = ", ".join(sorted(set(classes) ^ set(expected)))
        raise UserError(f"{folder}: its classes are not those of train/; in one of them only: {odd}")
    images = _decode_all([path for paths in found for path in paths], image_size)
    labels = torch.tensor([label for label, paths in enumerate(found) for _ in paths], dtype=torch.int64)
    return ImageSplit(torch.from_numpy(np.stack(images)), labels), classes


def _images_of(folder: Path, others: set[Path]) -> list[str]:
    """Return the image files of a class, in the order of torchvision's ``ImageFolder``.

    Links are followed, to each folder once, and not to those that hold this one or are another class.
    """
    seen = {_place(each) for each in others} - {_place(folder)}
    found = []
    for root, folders, names in os.walk(folder, followlinks=True):
        if (place := _place(root)) in seen:
            folders.clear()
            continue
        seen.add(place)
        # Of two links to a folder the first counts, in whatever order a file system gives them.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [(root, name) for name in names if name.lower().endswith(_SUFFIXES) and not name.startswith(".")]
    return [os.path.join(*each) for each in sorted(found)]


def _place(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _decode_all(paths: Sequence[str], image_size: int | None) -> list[np.ndarray]:
    """Return images of one size: that which is given, or that of the first image."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # too large for us, too
        with ThreadPoolExecutor() as pool:
            if image_size is not None:
                return list(pool.map(lambda path: np.asarray(_resize_and_crop(_decode(path), image_size)), paths))
            first = _decode(paths[0])
            return list(pool.map(lambda path: np.asarray(_decode(path, first.size)), paths))


def _decode(path: str, expected: tuple[int, int] | None = None) -> Image.Image:
    """Read one image.

    Args:
        path: of the file.
        expected: width and height that it must have, or None.

    Raises:
        UserError: it is no image, or one of another size or larger than is decoded, which its header says.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a device or pipe may have no end
            raise UserError(f"{path} is not a regular file; replace or remove it")
        with Image.open(path, formats=_FORMATS) as file:
            _expect_size(path, file.size, expected)
            return _to_bytes(path, file).convert("RGB")
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{path} is too large an image: {_LARGEST}") from None
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a readable image ({reason}); replace or remove it") from error


def _to_bytes(path: str, file: ImageFile) -> Image.Image:
    """Return an image of 8 bits a channel; Pillow would read all above 255 as white."""
    if file.mode not in ("I", "F") and not file.mode.startswith("I;16"):
        return file
    if file.mode == "F" or (file.mode == "I" and file.format not in ("PNG", "PPM")):
        raise UserError(
            f"{path} has floats, or integers of 32 bits, whose range is not known; save it with 8 or 16 bits"
        )
    bits = file.tag_v2.get(BITSPERSAMPLE, (16,))[0] if isinstance(file, TiffImageFile) else 16
    return Image.fromarray((np.asarray(file) >> (bits - 8)).astype(np.uint8))  # as Pillow reads colours of 16 bits


def _expect_size(path: str, size: tuple[int, int], expected: tuple[int, int] | None) -> None:
    width, height = size
    if max(size) > _MAX_SIDE or width * height > _MAX_PIXELS:
        raise UserError(f"{path} is too large an image: {width}x{height}, {_LARGEST}")
    if max(size) > _MAX_RATIO * min(size):
        raise UserError(
            f"{path} is {width}x{height}: its longer side is more than {_MAX_RATIO} times the shorter one; crop or "
            "remove it"
        )
    if expected is not None and (size != expected or width != height):
        raise UserError(f"{path} is {width}x{height}, others differ or are not square: give a side with --image_size")


def _resize_and_crop(image: Image.Image, size: int) -> Image.Image:
    if image.size == (size, size):
        return image
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))
