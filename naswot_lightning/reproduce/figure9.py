"""Figure 9: the same as Figure 3 of NATS-Bench's size space. The paper gives its correlations in the picture alone."""

from __future__ import annotations

from naswot_lightning.reproduce.panels import reproduce_panels
from naswot_lightning.reproduce.settings import PanelSettings
from naswot_lightning.reproduce.tables import open_tables


def reproduce(settings: PanelSettings) -> int:
    """Print, write and draw a panel for each data set.

    Raises:
        UserError: a table is of another space.
    """
    return reproduce_panels("figure9", open_tables(settings, ("nats_size",)), settings)
