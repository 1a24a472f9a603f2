"""Tables of known accuracies: ``python -m naswot_lightning.benchmarks convert FILE``, ``show TABLE``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from naswot_lightning.command_line import run_command
from naswot_lightning.errors import UserError

PROG = "python -m naswot_lightning.benchmarks"


@dataclass
class ConvertConfig:
    """Make one small table of an official file, once."""

    file: str
    """the file, or folder, which needs no option: convert FILE."""
    output: str | None = None
    """the table; FILE's name with the ending .npz, in this folder, by default."""
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


def convert(config: ConvertConfig) -> int:
    """Write the table."""
    from naswot_lightning.benchmarks.convert import convert as convert_file

    output = None if config.output is None else Path(config.output)
    if output is not None and output.suffix != ".npz":
        raise UserError(f"--output {config.output}: expected a name that ends with .npz")
    table, path = convert_file(Path(config.file), output, config.space)
    size = path.stat().st_size / 1e6
    print(f"{path}: {len(table.architectures):,} architectures of {table.space}, {size:.1f} MB")
    return 0


def show(config: ShowConfig) -> int:
    """Print what is known, of all or of one architecture."""
    from naswot_lightning.benchmarks import open_benchmark
    from naswot_lightning.report.table import print_table

    table = open_benchmark(config.file, config.space)
    if config.architecture is None:
        rows = ([each.dataset, each.split, each.epochs, len(each.seeds)] for each in table.known)
        title = f"{table.name}: {len(table.architectures):,} architectures of {table.space}"
        print_table(title, ("data set", "split", "epochs", "trainings"), rows)
        return 0
    if config.architecture not in table:
        raise UserError(f"{table.name} does not know {config.architecture}")
    print_table(config.architecture, ("data set", "split", "epochs", "accuracy (%)", "of each training"), [
        [each.dataset, each.split, each.epochs, mean, ", ".join(f"{seed}: {value:.2f}" for seed, value in own.items())]
        for each in table.known
        if (own := table.accuracies(config.architecture, each.dataset, each.split, each.epochs))
        and (mean := table.accuracy(config.architecture, each.dataset, each.split, each.epochs)) is not None
    ])  # fmt: skip
    return 0


def with_options(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """Give the words that stand alone on the command line the options that take them.

    >>> with_options(["FILE", "--output", "table.npz"], ["file"])
    ['--file', 'FILE', '--output', 'table.npz']
    """
    options: list[str] = []
    left = list(names)
    for word, before in zip(words, ["", *words], strict=False):
        is_value = before.startswith("--") and "=" not in before
        if not word.startswith("-") and not is_value and left:
            options.append(f"--{left.pop(0)}")
        options.append(word)
    return options


def main(words: Sequence[str]) -> int:
    """Run one of the two commands; return its exit code."""
    command, *rest = words or ["--help"]
    if command == "convert":
        return run_command(convert, ConvertConfig, f"{PROG} convert", with_options(rest, ["file"]))
    if command == "show":
        return run_command(show, ShowConfig, f"{PROG} show", with_options(rest, ["file", "architecture"]))
    wanted = command in ("--help", "-h")
    usage = f"{PROG} convert FILE [--output TABLE.npz], or show TABLE [ARCHITECTURE]; each has a --help"
    print(usage if wanted else f"{PROG}: error: {command}: expected {usage}", file=None if wanted else sys.stderr)
    return 0 if wanted else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
