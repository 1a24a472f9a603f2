"""How far the channels of rectified feature maps are from being linearly dependent, sixteen at a time."""

from naswot_lightning.scores.base import FORWARD, Measured, proxy
from naswot_lightning.scores.channel_spectra import ChannelSpectra, over_rectifiers


@proxy("relu_meco", source="after Jiang et al. 2023", cost=FORWARD, exact_sums=False, watches=(ChannelSpectra,))
def relu_meco(measured: Measured) -> float:
    """Return the sum over the rectifiers, and their blocks of 16 channels, of the smallest eigenvalue of a correlation.

    ``meco`` takes all channels of a layer together, and one image: it is 0 for layers with more channels than pixels,
    and falls with the width of a network (Kendall's tau with accuracy of -0.64 on the size space). Blocks of the same
    number of channels, and the pixels of 32 images, mend both.

    Returns:
        The sum; -inf where the channels of every block are linearly dependent, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.smallest)
