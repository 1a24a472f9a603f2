"""From an official file to a table."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from naswot_lightning.benchmarks.builder import build_table
from naswot_lightning.benchmarks.formats import Format, find_format
from naswot_lightning.benchmarks.official import expect_whole
from naswot_lightning.benchmarks.table import Table
from naswot_lightning.benchmarks.table_file import write_table

_ENDINGS = (".pickle.pbz2", ".pbz2", ".tfrecord", ".pth", ".pt", ".pickle", ".pkl", ".json", ".csv")


def convert(path: Path, output: Path | None = None, space: str | None = None) -> tuple[Table, Path]:
    """Write the table of an official file, or of a CSV; return it and where it is.

    Args:
        path: a file or folder of one of the formats.
        output: where it is written; beside ``path``, under its name, by default.
        space: of its architectures, where the file does not tell.

    Raises:
        UserError: the file is missing, damaged, carries code, or is of no known format.
        OSError: the output cannot be written.
    """
    _, found = find_format(path)
    expect_whole(path)
    table = read_any(path, found, space)
    output = output or converted_name(path)
    write_table(table, output)
    return table, output


def converted_name(path: Path) -> Path:
    """Return where the table of a file or folder is written: beside it.

    >>> print(converted_name(Path("data/NATS-tss-v1_0-3ffb9.pickle.pbz2")))
    data/NATS-tss-v1_0-3ffb9.npz
    """
    if path.name in ("", ".."):
        path = path.resolve()
    ending = next((each for each in _ENDINGS if path.name.lower().endswith(each)), "")
    return path.with_name(path.name[: len(path.name) - len(ending)] + ".npz")


def read_any(path: Path, found: Format, space: str | None) -> Table:
    """Return the table of a file in memory; a bar shows the way on a terminal."""
    reading = found.read(path, space)
    records = tqdm(reading.records, "reading", reading.total, leave=False, disable=None, file=sys.stderr)
    return build_table(replace(reading, records=records), path.resolve().name)
