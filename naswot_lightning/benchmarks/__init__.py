"""Tables of known accuracies: ``open_benchmark("NAS-Bench-201.npz")``; a new format is a file here and a line."""

from __future__ import annotations

import os
from pathlib import Path

from naswot_lightning.benchmarks.table import AvailableAccuracy, Table, read_table
from naswot_lightning.errors import UserError

__all__ = ["AvailableAccuracy", "Table", "open_benchmark"]


def open_benchmark(path: str | os.PathLike[str], space: str | None = None) -> Table:
    """Return the table in a converted file (``.npz``) or a CSV file; torch is not loaded.

    The ``space`` is that of the architectures of a CSV, where their strings do not tell. An official file, which must
    be converted once, is a UserError.
    """
    # The readers of other formats are loaded with the first such file.
    from naswot_lightning.benchmarks.convert import converted_name, csv_table, find_format, read_any

    path = Path(path)
    # A pipe has no end.
    if path.suffix == ".npz" and (path.is_file() or not path.exists()):
        return read_table(path)
    found = find_format(path)
    if found is csv_table.FORMAT:
        return read_any(path, found, space)
    cure = f"convert it once with naswot benchmarks convert {path}, then give {converted_name(path)}"
    raise UserError(f"{path} is an official file ({found.title}): {cure}")
