"""Which images are for what: splits that are the same on every machine and Python."""

from __future__ import annotations

import hashlib
import json
import random
import re
from pathlib import Path
from typing import Any

from naswot_lightning.errors import UserError

_OWN = "our own, drawn by a seed: not the benchmark's official lists"
# NAS-Bench-201 splits the test images of these in two, by lists that come from no known seed.
TEST_SPLIT_FILES = {
    "cifar100": "cifar100-test-split.txt",
    "imagenet16-120": "imagenet-16-120-test-split.txt",
}

Halves = tuple[list[int], list[int]]


def held_out(total: int, fraction: float, seed: int = 0) -> Halves:
    """Return sorted indices of a part to keep and a part of ``fraction`` to hold out, drawn by ``seed``."""
    order = list(range(total))
    random.Random(seed).shuffle(order)
    count = round(total * fraction)
    return sorted(order[count:]), sorted(order[:count])


def cifar10_valid_halves(total: int = 50_000) -> Halves:
    """Return the sorted train and x-valid indices of NAS-Bench-201's ``cifar10-valid`` (Dong & Yang, 2020)."""
    # The published lists are the sorted halves of a shuffle of 50,000 under this seed.
    order = list(range(total))
    random.Random(1021).shuffle(order)
    return sorted(order[: total // 2]), sorted(order[total // 2 :])


def divide_test_set(name: str, total: int, split_file: str | Path | None) -> tuple[Halves, tuple[str, str]]:
    """Divide the ``total`` test images of ``name`` into x-valid and x-test, by the file or else by our own seed.

    Return the two lists of indices, and the names of the two sets, which tell our own from the benchmark's.
    """
    if split_file is not None:
        return read_split_file(split_file, name, total), ("x-valid", "x-test")
    return held_out(total, 0.5), ("x-valid (own split)", "x-test (own split)")


def describe_split(name: str, split_file: str | Path | None) -> str | None:
    """Return what decides the splits of a data set beside its files; None where nothing does."""
    expect_split_file_fits(name, split_file)
    if split_file is not None:
        return f"--split_file, sha256 {hashlib.sha256(_content(Path(split_file))).hexdigest()[:16]}"
    return _OWN if name in TEST_SPLIT_FILES else "official" if name.startswith("cifar10") else None


def warn_of_own_split(name: str, split_file: str | Path | None) -> str | None:
    """Return a line that warns where a data set is split by our own seed instead of the official lists."""
    if name not in TEST_SPLIT_FILES or split_file is not None:
        return None
    return (
        f"{name}: its test images are split into validation and test images by our own seed, not by the benchmark's "
        f"x-valid and x-test lists; to use these, give NAS-Bench-201's {TEST_SPLIT_FILES[name]} with --split_file"
    )


def expect_split_file_fits(name: str, split_file: str | Path | None) -> None:
    """Raise :class:`UserError` where a split file is given for a data set that takes none."""
    if split_file is not None and name not in TEST_SPLIT_FILES:
        raise UserError(
            f"--split_file {split_file}: {name} has no such lists; the option is only for "
            f"{' and '.join(TEST_SPLIT_FILES)}"
        )


def read_split_file(path: str | Path, name: str, total: int) -> Halves:
    """Return the sorted indices of x-valid and x-test of a test set, by official lists, which hold each image once.

    Two formats, both JSON: the benchmark's own (``cifar100-test-split.txt``, as its configuration files are written):
    ``{"xvalid": ["int", ["1", "3", ...]], "xtest": ["int", [...]]}``; and plain lists for several data sets:
    ``{"cifar100": {"xvalid": [1, 3, ...], "xtest": [...]}, "imagenet16-120": {...}}``.
    """
    path = Path(path)
    raw, fault = _content(path), None
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        content, fault = None, "not JSON"
    lists = content.get(name, content) if isinstance(content, dict) else None
    if not isinstance(lists, dict) or not {"xvalid", "xtest"} <= lists.keys():
        raise UserError(
            f"--split_file {path}: {fault or f'no lists xvalid and xtest of {name} in it'}; expected NAS-Bench-201's "
            f'{TEST_SPLIT_FILES[name]}, or JSON {{"{name}": {{"xvalid": [...], "xtest": [...]}}}}'
        )
    valid, test = (_indices(path, key, lists[key]) for key in ("xvalid", "xtest"))
    seen, expected = set(valid) | set(test), set(range(total))
    if both := set(valid) & set(test):
        fault = f"xvalid and xtest overlap, both hold {min(both)}"
    elif beyond := seen - expected:
        fault = f"index {min(beyond)} is out of range"
    elif len(valid) + len(test) > len(seen):
        fault = "a list holds an index twice"
    elif missing := expected - seen:
        fault = f"{len(missing)} images are in neither list, the first is {min(missing)}"
    if fault:
        raise UserError(
            f"--split_file {path}: {fault}; expected each test image of {name} (0 to {total - 1}) exactly once"
        )
    return valid, test


def _content(path: Path) -> bytes:
    # A pipe or a device may have no end.
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"--split_file {path}: not a regular file; save the lists as one")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"--split_file {path}: {error.strerror}; give the file of the x-valid and x-test lists"
        ) from None


def _indices(path: Path, key: str, entry: Any) -> list[int]:
    """Return a list of indices, sorted; in the benchmark's own format a type stands beside a list of words."""
    typed = isinstance(entry, list) and len(entry) == 2 and entry[0] == "int"
    values = entry[1] if typed else entry
    if not isinstance(values, list):
        raise UserError(f"--split_file {path}: {key} is {str(values)[:40]!r}, expected a list of indices")
    for value in values:
        if not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
            raise UserError(f"--split_file {path}: {key} holds {str(value)[:40]!r}, expected whole numbers, 0 or more")
    return sorted(map(int, values))
