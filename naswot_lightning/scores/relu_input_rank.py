"""How many directions the channels of feature maps fill before they are rectified."""

from naswot_lightning.scores.base import FORWARD, Measured, proxy
from naswot_lightning.scores.channel_spectra import ChannelSpectra, over_rectifiers


@proxy("relu_input_rank", source="after Roy & Vetterli 2007", cost=FORWARD, exact_sums=False, watches=(ChannelSpectra,))
def relu_input_rank(measured: Measured) -> float:
    """Return the sum over the rectifiers of the effective rank of the correlation of their inputs' channels.

    As ``relu_rank``, of pre-activations. Rectified, channels of opposite sign are two that are hardly correlated;
    before, they are one direction: what layers repeat with another sign counts once.

    Returns:
        The sum, in channels; -inf where no channel changes, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.input_ranks)
