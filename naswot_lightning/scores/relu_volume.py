"""How much of the space of their channels rectified feature maps fill."""

from naswot_lightning.scores.base import FORWARD, Measured, proxy
from naswot_lightning.scores.channel_spectra import ChannelSpectra, over_rectifiers


@proxy("relu_volume", source="ours", cost=FORWARD, exact_sums=False, watches=(ChannelSpectra,))
def relu_volume(measured: Measured) -> float:
    """Return the sum over the rectifiers of C |R|^(1/C), R the correlation of their C channels.

    |R| is the squared volume that the channels, as vectors of length 1, span: 1 where no two are correlated, 0 where
    one depends on others. Its root of order C does not fall with C as such, so that a layer counts its channels, each
    by how independent it is. To each eigenvalue 1e-4 is added: a single dependent channel does not make it 0.

    Returns:
        The sum, in channels; -inf where no channel changes, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.volumes)
