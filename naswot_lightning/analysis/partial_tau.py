"""Kendall's partial tau: what two rankings have in common beyond a third."""

from __future__ import annotations

import numpy as np

from naswot_lightning.analysis.concordance import Array

_LEAST = 1e-12  # of 1 - tau^2: below it the third ranking is one of the two, to rounding


def partial_tau(xy: Array, xz: Array, yz: Array) -> Array:
    """Return the tau of x and y given z: (t_xy - t_xz t_yz) / sqrt((1 - t_xz^2)(1 - t_yz^2)).

    Kendall 1942, "Partial rank correlation", Biometrika 32. It is 0 where x and y agree as far as their agreement with
    z explains, and NaN where z orders the networks as x or y does.

    Args:
        xy: Kendall's tau of x and y, in each resample.
        xz: of x and z.
        yz: of y and z.

    >>> partial_tau(np.array([0.6, 0.42, 0.5]), np.array([0.5, 0.6, 1.0]), np.array([0.5, 0.7, 0.5])).round(4)
    array([0.4667, 0.    ,    nan])
    """
    left = (1 - np.square(xz)) * (1 - np.square(yz))
    known = left > _LEAST
    return np.where(known, (xy - xz * yz) / np.sqrt(np.where(known, left, 1.0)), np.nan)
