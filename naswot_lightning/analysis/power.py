"""What difference between two taus so many networks can show, and how many one difference needs."""

from __future__ import annotations

import math

from naswot_lightning.analysis.statistics import Estimate

# Of the normal distribution: the ends of a 95 % interval, and 80 %, the share of studies that are to see a difference.
_OF_INTERVAL, _OF_POWER = 1.960, 0.842
# What is smaller needs more networks than anybody trains.
_MOST_NETWORKS = 100_000


def detectable(difference: Estimate) -> float | None:
    """Return the true difference that 80 % of such studies would see; None without an interval.

    The interval's half width is 1.96 standard errors; a difference of 1.96 + 0.84 of them is seen in 80 %.

    >>> round(detectable(Estimate(0.05, -0.09, 0.19, 50, 0)), 2)
    0.2
    """
    if difference.low is None or difference.high is None:
        return None
    return (1 + _OF_POWER / _OF_INTERVAL) * (difference.high - difference.low) / 2


def networks_needed(difference: Estimate) -> int | None:
    """Return how many networks see this difference in 80 % of studies; None for more than 100,000, or no interval.

    Standard errors fall with the root of the number.

    >>> networks_needed(Estimate(0.1, -0.1, 0.3, 50, 0))
    409
    """
    least = detectable(difference)
    if least is None or not difference.value:
        return None
    needed = math.ceil(difference.n * (least / difference.value) ** 2)
    return needed if needed <= _MOST_NETWORKS else None


def describe_power(difference: Estimate) -> str:
    """Return in one sentence what so many networks show, and how many this difference needs; empty if not known.

    >>> print(describe_power(Estimate(0.1, -0.1, 0.3, 50, 0)))
    50 networks show a true difference from 0.29 on (in 80 % of studies); one of 0.10 needs about 410.
    """
    least = detectable(difference)
    if not least or difference.value is None:
        return ""
    return (
        f"{difference.n:,} networks show a true difference from {least:.2f} on (in 80 % of studies); one of "
        f"{abs(difference.value):.2f} needs {describe_needed(difference)}."
    )


def describe_needed(difference: Estimate) -> str:
    """Return in words how many networks a difference needs, in two digits: it is no more certain.

    >>> describe_needed(Estimate(0.1, -0.1, 0.3, 50, 0)), describe_needed(Estimate(0.001, -0.1, 0.3, 50, 0))
    ('about 410', 'more than 100,000')
    """
    needed = networks_needed(difference)
    return "more than 100,000" if needed is None else f"about {round(needed, 2 - len(str(needed))):,}"
