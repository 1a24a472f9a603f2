"""Figure 10: the same as Figure 3 of the NDS tables of one width and depth. No published correlation is on record."""

from __future__ import annotations

from naswot_lightning.errors import UserError
from naswot_lightning.reproduce.panels import reproduce_panels
from naswot_lightning.reproduce.settings import PanelSettings
from naswot_lightning.reproduce.tables import open_tables

_SPACES = ("nds_darts", "nds_enas", "nds_pnas")
_MARK = "fix-w-d"  # in the names of the official files


def reproduce(settings: PanelSettings) -> int:
    """Print, write and draw a panel for each table.

    Raises:
        UserError: a table is of another space, or its widths and depths vary.
    """
    tables = open_tables(settings, _SPACES)
    for path, table in zip(settings.benchmark, tables, strict=True):
        if _MARK not in table.name:
            raise UserError(f"--benchmark {path}: it is {table.name}; expected one of fixed width and depth ({_MARK})")
    return reproduce_panels("figure10", tables, settings)
