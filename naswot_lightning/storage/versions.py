"""The versions of the libraries that a search ran with: ``versions.json``, a set for each time that they changed."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import write_json
from naswot_lightning.storage.records import parse_json

# What a score's last bits can depend on.
LIBRARIES = ("naswot-lightning", "torch", "torchvision", "numpy", "numba")

Versions = Mapping[str, str]


def versions_here() -> Versions:
    """Return the versions of Python and of the libraries that scores depend on; of what is installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a checkout that is not installed has no version of its own
            continue
    return found


def note_versions(path: Path) -> None:
    """Add the versions of this process where the last ones of the file are others.

    Raises:
        UserError: the file is damaged.
    """
    known, here = read_versions(path), versions_here()
    if not known or known[-1] != here:
        write_json(path, [*known, here])


def read_versions(path: Path) -> Sequence[Versions]:
    """Return the sets of versions of a ``versions.json``, the first one first; none where there is no such file.

    Raises:
        UserError: the file is damaged.
    """
    try:
        content = parse_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    if not isinstance(content, list) or not all(_is_set(each) for each in content):
        raise _damaged(path, "expected a list of objects of texts")
    return content


def _is_set(entry: object) -> bool:
    return isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values())


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is damaged ({reason}): remove it; no result depends on it")
