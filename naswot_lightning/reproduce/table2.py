"""Table 2: what searches of NAS-Bench-201 (a) and of NATS-Bench's size space (b) pick."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from naswot_lightning.errors import UserError
from naswot_lightning.reproduce.known_columns import TOPOLOGY, known_columns
from naswot_lightning.reproduce.picked import Picking
from naswot_lightning.reproduce.published import published_table
from naswot_lightning.reproduce.report import report
from naswot_lightning.reproduce.settings import TableSettings
from naswot_lightning.reproduce.tables import open_table, space_of_table

_PARTS = {"nasbench201": "table2a", "nats_size": "table2b"}
_DATASETS = tuple(dict.fromkeys(column.searched for column in TOPOLOGY))
# Searches of part (a) look at CIFAR-10 alone, those of part (b) at the data set that is reported.
_ON: dict[str, Mapping[str, str]] = {
    "table2a": dict.fromkeys(_DATASETS, "cifar10"),
    "table2b": {dataset: dataset for dataset in _DATASETS},
}


def reproduce(settings: TableSettings) -> int:
    """Print, write and draw the part that the table is of.

    Raises:
        UserError: the table is of another space, or knows none of the columns.
    """
    table = open_table(settings, _PARTS)
    name = _PARTS[space_of_table(table)]
    columns = known_columns(table)
    if not columns.values:
        raise UserError(
            f"--benchmark {settings.benchmark[0]}: it knows none of the columns {', '.join(columns.missing)}"
        )
    report(Picking(settings, published_table(name), table, columns, _ON[name]), Path(settings.out) / name)
    return 0
