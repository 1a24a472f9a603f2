"""The sign patterns of rectified units over the images of a mini-batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from naswot_lightning.score.recorder import rectified_input

MOST_IMAGES = 16  # the mini-batch as published; 2^16 patterns are then possible


class SignPatterns(TorchFunctionMode):
    """While active, notes which sign patterns the units of all rectifiers have over the first images.

    A unit's pattern is a number: bit i says whether its pre-activation for image i is positive.

    Args:
        network: not looked at.
        images: N of the mini-batch; the first 16 of them count.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        super().__init__()
        self._all_images = images
        self._images = min(images, MOST_IMAGES)
        self._seen = torch.zeros(0)

    def __enter__(self) -> SignPatterns:
        self._seen = torch.zeros(1 << self._images, dtype=torch.bool)
        super().__enter__()
        return self

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        pre_activations = rectified_input(func, args, kwargs or {})
        if pre_activations is not None:
            self._note(pre_activations)  # before the call, which may be in place
        return func(*args, **(kwargs or {}))

    def _note(self, pre_activations: Tensor) -> None:
        if pre_activations.shape[0] != self._all_images:
            pre_activations = pre_activations.reshape(self._all_images, -1)
        units = _units(pre_activations[: self._images])
        powers = 2.0 ** torch.arange(self._images, device=units.device)
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
