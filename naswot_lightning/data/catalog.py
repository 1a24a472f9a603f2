"""Data sets by their names."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from naswot_lightning.errors import UserError, expect_name

if TYPE_CHECKING:
    from naswot_lightning.data.dataset import Dataset


@dataclass(frozen=True)
class Source:
    """How a data set is loaded.

    Attributes:
        file: of this folder.
        loader: its function, which takes the folder of the data set.
        takes: what else it takes: the side of its images, official lists.
    """

    file: str
    loader: str
    takes: tuple[str, ...] = ()


DATASETS = {
    "digits": Source("digits", "load_digits"),
    "imagefolder": Source("image_folder", "load_image_folder", ("image_size",)),
    "cifar10": Source("cifar", "load_cifar10"),
    "cifar10-valid": Source("cifar", "load_cifar10_valid"),
    "cifar100": Source("cifar", "load_cifar100", ("split_file",)),
    "imagenet16-120": Source("imagenet16", "load_imagenet16_120", ("split_file",)),
}


def list_datasets() -> list[str]:
    """Return the names of the data sets that can be trained on.

    >>> "digits" in list_datasets()
    True
    """
    return list(DATASETS)


def load_dataset(
    name: str, data_dir: str | Path = "data", image_size: int | None = None, split_file: str | Path | None = None
) -> Dataset:
    """Load a data set into memory.

    Args:
        name: one of :func:`list_datasets`.
        data_dir: where its files lie, or are downloaded to.
        image_size: side of the images, for an imagefolder only.
        split_file: the official x-valid and x-test lists, for ``cifar100`` and ``imagenet16-120`` only.

    Raises:
        UserError: unknown name, or missing or damaged files; the message says what to put where.
    """
    from naswot_lightning.data.splits import expect_split_file_fits

    source = DATASETS[expect_name("dataset", name, DATASETS)]
    options = {"image_size": image_size, "split_file": split_file}
    if image_size is not None and "image_size" not in source.takes:
        raise UserError(f"--image_size {image_size}: the size of {name} is fixed; the option is for imagefolder")
    expect_split_file_fits(name, split_file)
    loader = getattr(import_module(f"naswot_lightning.data.{source.file}"), source.loader)
    loaded: Dataset = loader(Path(data_dir), **{option: options[option] for option in source.takes})
    return loaded
