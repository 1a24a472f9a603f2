"""Tables of known accuracies: ``naswot benchmarks convert FILE``, ``show`` and ``export TABLE``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from naswot_lightning.cli.parser import run_command
from naswot_lightning.errors import UserError
from naswot_lightning.spaces.errors import one_line

if TYPE_CHECKING:
    from naswot_lightning.benchmarks import Table

PROG = "naswot benchmarks"
_USAGE = {
    "convert FILE [--output TABLE.npz]": "convert the official file of a benchmark into a small table",
    "show TABLE [ARCHITECTURE]": "print what is in a table",
    "export TABLE --parquet FILE": "export the accuracies of a table for other programs",
}


@dataclass
class ConvertConfig:
    """Convert the official file of a benchmark into a small table."""

    file: str
    """The file or folder to convert. The option's name may be left out: convert FILE."""
    output: str | None = None
    """The table to write. Default: FILE with the suffix .npz."""
    space: str | None = None
    """The search space of the architectures, if it cannot be told from the file."""


@dataclass
class ShowConfig:
    """Print what is in a table: an overview, or everything about one architecture."""

    file: str
    """The table to show. The option's name may be left out: show TABLE."""
    architecture: str | None = None
    """The architecture to show. The option's name may be left out: show TABLE ARCHITECTURE."""
    space: str | None = None
    """The search space of the architectures of a CSV file, if it cannot be told from them."""


@dataclass
class ExportConfig:
    """Export the accuracies of a table for other programs."""

    file: str
    """The table to export. The option's name may be left out: export TABLE."""
    parquet: str
    """The Parquet file to write (needs the extra [parquet])."""
    space: str | None = None
    """The search space of the architectures of a CSV file, if it cannot be told from them."""


def convert_table(config: ConvertConfig) -> int:
    """Write the table."""
    from naswot_lightning.benchmarks.convert import convert

    output = None if config.output is None else Path(config.output)
    if output is not None and output.suffix != ".npz":
        raise UserError(f"--output {config.output}: expected a name that ends in .npz")
    table, path = convert(Path(config.file), output, config.space)
    size = path.stat().st_size / 1000
    print(one_line(f"{path}: {len(table.architectures):,} architectures of {table.space}, {size:,.0f} kB"))
    return 0


def show_table(config: ShowConfig) -> int:
    """Print what is known, of all or of one architecture."""
    from naswot_lightning.benchmarks import open_benchmark
    from naswot_lightning.console import print_table

    table = open_benchmark(config.file, config.space)
    if config.architecture is None:
        rows = ([each.dataset, each.split, each.epochs, len(each.seeds)] for each in table.known)
        print(
            one_line(f"{table.name}: {len(table.architectures):,} architectures of {table.space}, from {table.source}")
        )
        if table.known:
            print_table("", ("data set", "split", "epochs", "trainings"), rows)
        if table.further:
            print_table("", ("known", "least", "median", "most", "data set", "column"), _further(table))
        return 0
    if config.architecture not in table:
        raise UserError(f"{config.architecture}: not in the table {table.name}")
    columns = ("data set", "split", "epochs", "accuracy (%)", "loss", "training (s)", "params", "MACs", "by seed (%)")
    number, known = table.number(config.architecture), []
    for dataset, split, epochs, _ in table.known:
        asked = config.architecture, dataset, split, epochs
        # A table knows some of its architectures on some of its data sets only.
        if trainings := table.accuracies(*asked):
            seconds = table.training_seconds(config.architecture, dataset, epochs)
            size = table.params(config.architecture, dataset), table.macs(config.architecture, dataset)
            by_seed = ", ".join(f"{seed}: {accuracy:.2f}" for seed, accuracy in trainings.items())
            known.append([*asked[1:], table.accuracy(*asked), table.loss(*asked), seconds, *size, by_seed])
    print(one_line(config.architecture if number is None else f"{config.architecture} (index {number:,})"))
    if known:
        print_table("", columns, known)
    row = table.row(config.architecture) or 0
    for key in (key for key in table.columns if key.measure in table.further):
        print(f"{key.measure}{key.dataset and f' ({key.dataset})'}: {table.columns[key].item(row):g}")
    return 0


def _further(table: Table) -> Iterator[list[object]]:
    """Yield a row for each column that is no accuracy: how many values there are, three of them, and its name."""
    import numpy as np

    for name, dataset in dict.fromkeys((key.measure, key.dataset) for key in table.columns):
        if name in table.further:
            values = table.column(name, dataset)
            yield [int((~np.isnan(values)).sum()), *np.nanquantile(values, [0, 0.5, 1]).tolist(), dataset or "-", name]


def export_table(config: ExportConfig) -> int:
    """Write the table in another format."""
    from naswot_lightning.benchmarks import open_benchmark

    table = open_benchmark(config.file, config.space)
    if not table.known:
        raise UserError(f"{config.file}: the table has no accuracies to export")
    lines = table.write_parquet(Path(config.parquet))
    print(f"{config.parquet}: {lines:,} accuracies")
    return 0


def main(words: Sequence[str]) -> int:
    """Run one of the commands; return its exit code."""
    command, *rest = words or ["--help"]
    if command == "convert":
        return run_command(convert_table, ConvertConfig, f"{PROG} convert", rest, ["file"])
    if command == "show":
        return run_command(show_table, ShowConfig, f"{PROG} show", rest, ["file", "architecture"])
    if command == "export":
        return run_command(export_table, ExportConfig, f"{PROG} export", rest, ["file"])
    wanted = command in ("--help", "-h")
    if wanted:
        print(f"{PROG} COMMAND ...: tables of known accuracies; each command has a --help\n")
        print("\n".join(f"  {usage:42s} {what}" for usage, what in _USAGE.items()))
        return 0
    print(f"{PROG}: error: unknown command {command!r}, expected convert, show or export", file=sys.stderr)
    return 2
