"""Code of the user's own, named by an import path such as ``my_package.MySpace``: who may name it, and its import."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from naswot_lightning.spaces.errors import SpaceError

_trusted: set[str] = set()


def is_import_path(name: str) -> bool:
    """Return whether a thing is named by the import path of its code, not by a name of a list.

    >>> is_import_path("my_package.MySpace:depth=3"), is_import_path("nds_darts:depth=8")
    (True, False)
    """
    return "." in name.partition(":")[0]


def trust(name: str) -> None:
    """Let the code that an import path names be imported where a file names it, too; call it with the user's words."""
    _trusted.add(name.partition(":")[0])


def expect_trusted(what: str, name: str) -> None:
    """Raise :class:`SpaceError` for an import path that a file names, and that nobody vouched for (:func:`trust`).

    Opening somebody's run folder or checkpoint must not run what it names. ``what`` is the option: "space", "dataset".
    """
    path = name.partition(":")[0]
    if is_import_path(name) and path not in _trusted:
        raise SpaceError(
            f"{what} {name}: a file names this code, which would be run; if you trust it, give --{what} {name} or "
            f"--trust, or call naswot_lightning.spaces.trust({path!r}) first"
        )


def import_own(what: str, path: str, kind: str, accepts: Callable[[type], bool]) -> Any:
    """Return what an import path names, looked up from the working directory first.

    That is a class that is accepted, in words a ``kind``, which may be empty, or a function of the user's own.

    Raises:
        SpaceError: it is no import path, cannot be imported, or is anything else.
    """
    if not all(part.isidentifier() for part in path.split(".")):
        raise SpaceError(f"{what} {path!r}: expected an import path such as my_package.MyClass")
    module, _, attribute = path.rpartition(".")
    # A script's folder is on the path, the folder that the user stands in is not.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SpaceError(f"{what} {path!r} cannot be imported from {os.getcwd()}: {error}") from error
    # Never called: what an installed library, or this one, happens to hold.
    if accepts(found) if inspect.isclass(found) else _is_own_function(found, module):
        return found
    kinds = f"{kind}, or a function" if kind else "a function"
    raise SpaceError(f"{what} {path!r}: expected {kinds} that a module of your own defines")


def _is_own_function(found: object, module: str) -> bool:
    libraries = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return (
        inspect.isfunction(found)
        and found.__module__ == module
        and module.partition(".")[0] not in ("spaces", "naswot_lightning", "callbacks")
        and not any(Path(inspect.getfile(found)).resolve().is_relative_to(Path(each).resolve()) for each in libraries)
    )
