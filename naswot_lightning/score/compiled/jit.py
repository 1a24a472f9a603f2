"""numba's decorator, its cache kept where it can be written."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba


def compiled(parallel: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function with numba and keep the result beside its file, in the user's cache, or in a temporary folder.

    An installation and a home that cannot be written leave the last, one for each user and all of its processes; where
    there is none either, every process compiles for itself.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(parallel=parallel, nogil=True, cache=True)(function)
        except RuntimeError:  # numba found no folder that it can write
            folder = _temporary_cache()
        if folder is None:
            return numba.njit(parallel=parallel, nogil=True)(function)
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        return numba.njit(parallel=parallel, nogil=True, cache=True)(function)

    return decorate


@lru_cache(maxsize=1)
def _temporary_cache() -> Path | None:
    """Return this user's folder for compiled functions; None where somebody else's, or none, can be had.

    A folder that others can write is not used: what is read from a cache is run.
    """
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"naswot-lightning-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        ours = not hasattr(os, "getuid") or found.st_uid == user
        private = ours and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        private = False
    where = folder if private else "no folder (every process compiles for itself)"
    print(f"compiled functions are kept in {where}: the installation cannot be written", file=sys.stderr)
    return folder if private else None
