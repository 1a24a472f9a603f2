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
_USAGE = "convert FILE [--output TABLE.npz], show TABLE [ARCHITECTURE], or export TABLE --parquet FILE"


@dataclass
class ConvertConfig:
    """Make one small table of an official file, once."""

    file: str
    """the file, or folder, which needs no option: convert FILE."""
    output: str | None = None
    """the table; beside FILE, under its name with the ending .npz, by default."""
    space: str | None = None
    """the search space of the architectures, where the file does not tell."""


@dataclass
class ShowConfig:
    """Print what a table knows."""

    file: str
    """the table, which needs no option: show TABLE."""
    architecture: str | None = None
    """one of its architectures; all that is known of it is printed."""
    space: str | None = None
    """the search space of a CSV's architectures, where they do not tell."""


@dataclass
class ExportConfig:
    """Write a table for other programs."""

    file: str
    """the table, which needs no option: export TABLE."""
    parquet: str
    """the file to write; it needs the extra [parquet]."""
    space: str | None = None
    """the search space of a CSV's architectures, where they do not tell."""


def convert_table(config: ConvertConfig) -> int:
    """Write the table."""
    from naswot_lightning.benchmarks.convert import convert

    output = None if config.output is None else Path(config.output)
    if output is not None and output.suffix != ".npz":
        raise UserError(f"--output {config.output}: expected a name that ends with .npz")
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
        raise UserError(f"{table.name} does not know {config.architecture}")
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
        raise UserError(f"{config.file}: no accuracies in it; export writes a row for each")
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
    usage = f"{PROG} {_USAGE}; each has a --help"
    print(usage if wanted else f"{PROG}: error: {command}: expected {usage}", file=None if wanted else sys.stderr)
    return 0 if wanted else 2
