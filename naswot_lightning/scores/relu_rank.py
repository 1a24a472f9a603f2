"""How many directions the channels of rectified feature maps fill."""

from naswot_lightning.scores.base import FORWARD, Measured, proxy
from naswot_lightning.scores.channel_spectra import ChannelSpectra, over_rectifiers


@proxy("relu_rank", source="after Roy & Vetterli 2007", cost=FORWARD, exact_sums=False, watches=(ChannelSpectra,))
def relu_rank(measured: Measured) -> float:
    """Return the sum over the rectifiers of the effective rank of their channels' correlation.

    The effective rank of Roy & Vetterli is exp of the entropy that ``relu_entropy`` adds up: 1 where all channels are
    the same up to scale, C where no two of the C channels are correlated. A wide layer weighs more in this sum than in
    that of the entropies.

    Returns:
        The sum, in channels; -inf where no channel changes, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.ranks)
