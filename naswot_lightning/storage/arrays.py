"""Arrays in a zip file (``.npz``), never a pickle; what a file says of itself is not believed before it is seen."""

from __future__ import annotations

import zipfile

import numpy as np

_MOST_BYTES = 1 << 31  # of one array
_LONGEST_HEADER = 10_000  # bytes, of an array


def write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Add an array to an archive that is being written; the same array gives the same bytes."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Return an array without believing what it says of its size before its bytes are there.

    Raises:
        ValueError: it holds objects, is larger than its content, or ends early; and what else
            :data:`naswot_lightning.storage.faults.FAULTS` names.
        OSError: as :func:`naswot_lightning.storage.faults.reading` sorts out.
    """
    with archive.open(f"{name}.npy") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} is written in another version of the format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file, _LONGEST_HEADER)
        if dtype.hasobject:
            raise ValueError(f"{name} holds objects")
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if size > min(_MOST_BYTES, archive.getinfo(f"{name}.npy").file_size):
            raise ValueError(f"{name} is larger than its content")
        content = file.read(size)
    if len(content) != size:
        raise ValueError(f"{name} ends early")
    return np.frombuffer(content, dtype).reshape(shape)
