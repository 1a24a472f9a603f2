"""Files that are never half-written, and folders that one process at a time may write."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from naswot_lightning.errors import UserError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside ``path``, then rename: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def locked(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Hold ``folder`` for this process; the lock dies with the process, however it ends.

    Args:
        folder: an existing folder.
        patience: seconds to wait for another process to let it go.

    Raises:
        UserError: another process holds it.
    """
    with open(folder / ".lock", "w") as file:
        deadline = time.monotonic() + patience
        while not _try_lock(file):
            if time.monotonic() >= deadline:
                raise UserError(f"{folder} is in use by another process; wait for it, or choose another --run_dir")
            time.sleep(0.1)
        yield


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
