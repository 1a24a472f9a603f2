"""Over how many directions the feature maps spread."""

import math

from naswot_lightning.scores.base import AZ_NAS, FORWARD, Measured, proxy
from naswot_lightning.scores.spectra import SpectralEntropies


@proxy("az_expressivity", source=AZ_NAS, cost=FORWARD, exact_sums=False, watches=(SpectralEntropies,))
def az_expressivity(measured: Measured) -> float:
    """Return the sum over the feature maps of the entropy of their spectrum.

    A map of (N, C, H, W) is N * H * W rows of C channels; p are the eigenvalues of their covariance, divided by their
    sum, and the entropy is -sum p log(p + 1e-8). The maps are those of
    :func:`~naswot_lightning.scores.feature_maps.feature_modules`. Lee & Ham draw Kaiming-normal weights and N(0, 1)
    inputs; here both are those of the search, so that the forward pass is that of the kernel.

    Returns:
        The sum; -inf where a map is constant, or there is none; nan where one is not finite.
    """
    entropies = measured.watched(SpectralEntropies).values
    return sum(entropies) if entropies else -math.inf  # nan comes before -inf in a sum
