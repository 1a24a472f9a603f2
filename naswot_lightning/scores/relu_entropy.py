"""Over how many directions the channels of rectified feature maps spread."""

from naswot_lightning.scores.base import FORWARD, Measured, proxy
from naswot_lightning.scores.channel_spectra import ChannelSpectra, over_rectifiers


@proxy("relu_entropy", source="ours", cost=FORWARD, exact_sums=False, watches=(ChannelSpectra,))
def relu_entropy(measured: Measured) -> float:
    """Return the sum over the rectifiers of the entropy of their channels' correlation.

    ``az_expressivity`` asks the same of every cell's output; this asks the units whose codes ``naswot`` compares. It
    is at most the sum of log C over the rectifiers, reached where no two of the C channels are correlated.

    Returns:
        The sum in nats; -inf where no channel changes, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.entropies)
