"""The files of NAS-Bench-201 (Dong & Yang, 2020), v1.0 and v1.1, which ``nas_201_api`` reads."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from naswot_lightning.benchmarks.formats import Format
from naswot_lightning.benchmarks.records import Reading, Record
from naswot_lightning.benchmarks.trials import load_checked, load_condensed, read_record
from naswot_lightning.errors import UserError
from naswot_lightning.storage.faults import reading

SPACE = "nasbench201"
_CONTENT = "table of NAS-Bench-201"
_RECIPES = {"less": "12", "full": "200"}
# A file of torch before 1.6: a number, a version and a description, each a pickle, before the content.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PARTS = 3


def _recognises(path: Path) -> bool:
    return path.is_file() and path.suffix in (".pth", ".pt")


def _read(path: Path, space: str | None) -> Reading:
    with reading(path, _CONTENT), _pickle_of(path) as file:
        content = load_condensed(file, path, _CONTENT)
        names, found = content["meta_archs"], content["arch2infos"]
        total = len(found)
    return Reading("NAS-Bench-201", space or SPACE, records(path, _CONTENT, names, found), total)


def records(path: Path, content: str, names: Any, found: Any) -> Iterator[Record]:
    """Yield the records of a file that holds all architectures.

    Args:
        path: of the file, for messages.
        content: what it should hold, for messages.
        names: the architecture of each index.
        found: from an index to the states of its recipes.

    Raises:
        UserError: they are not written as the official files are.
    """
    with reading(path, content):
        for number in sorted(found):
            yield read_record(str(names[number]), int(number), found[number])


@contextmanager
def _pickle_of(path: Path) -> Iterator[BinaryIO]:
    """Open the pickle in a file of torch, of either format, at its beginning."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive)) as member:
            yield member  # type: ignore[misc] # what it lacks is not used
        return
    with open(path, "rb") as file:
        if load_checked(file, path, _CONTENT) != _LEGACY_MAGIC:
            raise UserError(f"{path}: no file of torch; get it anew")
        for _ in range(_LEGACY_PARTS - 1):
            load_checked(file, path, _CONTENT)
        yield file


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    members = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(members) != 1:
        raise UserError(f"{path}: no file of torch; get it anew")
    return members[0]


FORMAT = Format("NAS-Bench-201 v1.0 or v1.1 (.pth)", _recognises, _read)
