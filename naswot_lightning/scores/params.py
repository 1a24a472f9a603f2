"""Parameters: the baseline that no score should fall below."""

from naswot_lightning.scores.base import Measured, proxy


@proxy("params", source="count of trainable parameters", cost="no pass")
def params(measured: Measured) -> float:
    """Return the number of trainable parameters."""
    return float(measured.params)
