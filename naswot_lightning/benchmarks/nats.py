"""NATS-Bench (Dong et al., 2021): folders of one file an architecture, and the files that hold all of them."""

from __future__ import annotations

import bz2
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from naswot_lightning.benchmarks.formats import Format
from naswot_lightning.benchmarks.nasbench201 import records
from naswot_lightning.benchmarks.records import Reading, Record
from naswot_lightning.benchmarks.trials import load_condensed, read_record
from naswot_lightning.errors import UserError
from naswot_lightning.storage.faults import damaged, reading

_ENDING = ".pickle.pbz2"
_META = f"meta{_ENDING}"
_ONE = re.compile(rf"0*(\d+){re.escape(_ENDING)}")
_CONTENT = "table of NATS-Bench"
_TITLES = {"nasbench201": "NATS-Bench topology", "nats_size": "NATS-Bench size"}


def _recognises(path: Path) -> bool:
    if path.is_dir():
        return (path / _META).is_file() or any(_ONE.fullmatch(each.name) for each in path.iterdir())
    return path.name.endswith((_ENDING, ".pbz2"))


def _read(path: Path, space: str | None) -> Reading:
    return _read_folder(path, space) if path.is_dir() else _read_file(path, space)


def _read_folder(folder: Path, space: str | None) -> Reading:
    if not (folder / _META).is_file():
        raise UserError(f"{folder}: {_META} is missing, which names the architectures; unpack the archive anew")
    names = _names(folder, _load(folder / _META))
    found = {int(match[1]): path for path in folder.iterdir() if (match := _ONE.fullmatch(path.name))}
    if not found:
        raise UserError(f"{folder}: no files such as 000000{_ENDING}; unpack the archive anew")
    space = space or _space(names[0])
    return Reading(_TITLES.get(space, "NATS-Bench"), space, _records(names, found), len(found))


def _records(names: list[str], found: dict[int, Path]) -> Iterator[Record]:
    for number in sorted(found):
        content = _load(found[number])
        with reading(found[number], _CONTENT):
            record = read_record(names[number], number, content)
        yield record


def _read_file(path: Path, space: str | None) -> Reading:
    content = _load(path)
    names = _names(path, content)
    with reading(path, _CONTENT):
        found = content["arch2infos"]
        total = len(found)
    space = space or _space(names[0])
    return Reading(_TITLES.get(space, "NATS-Bench"), space, records(path, _CONTENT, names, found), total)


def _names(path: Path, content: Any) -> list[str]:
    names = content.get("meta_archs") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise damaged(path, _CONTENT, ValueError("no list of architectures"))
    return names


def _space(name: str) -> str:
    return "nats_size" if ":" in name else "nasbench201"


def _load(path: Path) -> Any:
    with reading(path, _CONTENT), bz2.open(path) as file:
        return load_condensed(file, path, _CONTENT)  # type: ignore[arg-type] # it reads bytes


FORMAT = Format("NATS-Bench, a folder or a file (.pickle.pbz2)", _recognises, _read)
