"""The tables of ``--benchmark``, each of a space that the command is about."""

from __future__ import annotations

from collections.abc import Collection

from naswot_lightning.benchmarks import Table, open_benchmark
from naswot_lightning.errors import UserError
from naswot_lightning.reproduce.settings import Scoring

_AS_PUBLISHED = {"nasbench101": "nasbench101_16"}


def open_tables(settings: Scoring, spaces: Collection[str] = ()) -> list[Table]:
    """Return the tables of a command.

    Args:
        settings: of the command.
        spaces: that they may be of, without options; any where there are none.

    Raises:
        UserError: one cannot be read, or is of another space.
    """
    return [_open(path, settings, spaces) for path in settings.benchmark]


def open_table(settings: Scoring, spaces: Collection[str] = ()) -> Table:
    """Return the only table of a command.

    Raises:
        UserError: there are several, or as :func:`open_tables`.
    """
    if len(settings.benchmark) > 1:
        raise UserError(f"--benchmark {' '.join(settings.benchmark)}: expected one table; give one a command")
    return open_tables(settings, spaces)[0]


def space_of_table(table: Table) -> str:
    """Return the name of a table's space without its options."""
    return table.space.partition(":")[0]


def scored_space(settings: Scoring, table: Table) -> str:
    """Return the space whose networks are scored for a table's architectures: that of ``--space`` where it is given.

    The published code scores cells of NAS-Bench-101 in narrow networks.
    """
    family = space_of_table(table)
    if settings.space is not None and settings.space.startswith(family):
        return settings.space
    return _AS_PUBLISHED.get(family, table.space)


def _open(path: str, settings: Scoring, spaces: Collection[str]) -> Table:
    table = open_benchmark(path, settings.space)
    if spaces and space_of_table(table) not in spaces:
        raise UserError(f"--benchmark {path}: it is of {table.space}; expected a table of {' or '.join(spaces)}")
    if not len(table.architectures):
        raise UserError(f"--benchmark {path}: it has no architectures; convert the official file anew")
    return table
