"""Which images are for what: splits that are the same on every machine and Python."""

from __future__ import annotations

import random


def held_out(total: int, fraction: float, seed: int = 0) -> tuple[list[int], list[int]]:
    """Return sorted indices of a part to keep and a part of ``fraction`` to hold out, drawn by ``seed``."""
    order = list(range(total))
    random.Random(seed).shuffle(order)
    count = round(total * fraction)
    return sorted(order[count:]), sorted(order[:count])
