"""The sign patterns of rectified units over the images of a mini-batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from naswot_lightning.score.recorder import RectifierObserver

MOST_IMAGES = 16  # the mini-batch as published; 2^16 patterns are then possible


class SignPatterns(RectifierObserver):
    """While active, notes which sign patterns the units of all rectifiers have over the first images.

    A unit's pattern is a number: bit i says whether its pre-activation for image i is positive.

    Args:
        network: not looked at.
        images: N of the mini-batch; the first 16 of them count.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        self._first = min(images, MOST_IMAGES)
        self._seen = torch.zeros(0)

    def __enter__(self) -> SignPatterns:
        self._seen = torch.zeros(1 << self._first, dtype=torch.bool)
        return self

    def see(self, pre_activations: Tensor) -> None:
        """Add the patterns of one rectifier's units."""
        units = _units(pre_activations[: self._first])
        powers = 2.0 ** torch.arange(self._first, device=units.device)
        patterns = torch.mv((units > 0).float().T, powers)  # exact: below 2^24
        self._seen = self._seen.to(units.device)
        self._seen[patterns.long()] = True

    @property
    def count(self) -> int:
        """Distinct patterns."""
        return int(self._seen.sum())

    @property
    def tells_images_apart(self) -> bool:
        """Whether any unit is positive for some images and not for others."""
        return bool(self._seen[1:-1].any())


def _units(tensor: Tensor) -> Tensor:
    """Return (N, units) of (N, ...), the units in the order of the memory, so that nothing is copied."""
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.flatten(1)
