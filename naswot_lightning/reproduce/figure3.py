"""Figure 3: NAS-Bench-201, NAS-Bench-101 and the cell spaces of NDS."""

from __future__ import annotations

from naswot_lightning.reproduce.panels import reproduce_panels
from naswot_lightning.reproduce.settings import PanelSettings
from naswot_lightning.reproduce.tables import open_tables

_SPACES = (
    "nasbench201", "nasbench101", "nds_amoeba", "nds_darts", "nds_enas", "nds_nasnet", "nds_pnas",
)  # fmt: skip


def reproduce(settings: PanelSettings) -> int:
    """Print, write and draw a panel for each data set of each table.

    Raises:
        UserError: a table is of another space.
    """
    return reproduce_panels("figure3", open_tables(settings, _SPACES), settings)
