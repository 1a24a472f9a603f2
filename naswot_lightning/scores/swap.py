"""The cardinality of the units' sign patterns."""

import math

from naswot_lightning.scores.base import FORWARD, Measured, proxy
from naswot_lightning.scores.sign_patterns import SignPatterns


@proxy("swap", source="Peng et al. 2024", cost=FORWARD, exact_sums=False, watches=(SignPatterns,))
def swap(measured: Measured) -> float:
    """Return how many distinct sign patterns the rectified units have over the first 16 images of the probe.

    A pattern is a unit's, over the images; ``naswot`` compares those of an image, over the units. 16 images, as
    published, allow 65,536 patterns: large networks reach nearly all of them. The forward pass, and with it the
    statistics of BatchNorm, is that of the whole probe. The published factor exp(-(params - mu)^2 / sigma), whose mu
    and sigma are set for each space, is left out: that is tuning on accuracies.

    Returns:
        The count; -inf where no unit tells any two images apart, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    patterns = measured.watched(SignPatterns)
    if measured.kernel.has_nan:
        return math.nan
    return float(patterns.count) if patterns.tells_images_apart else -math.inf
