"""What looks at the pre-activations of every rectifier while a network runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from naswot_lightning.score.recorder import rectified_input


class RectifierWatch(TorchFunctionMode):
    """While active, shows the input of every rectifier that is called, before the call, which may be in place.

    Args:
        network: not looked at.
        images: N of the mini-batch.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        super().__init__()
        self._images = images

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        pre_activations = rectified_input(func, args, kwargs or {})
        if pre_activations is not None:
            by_image = pre_activations.dim() > 1 and pre_activations.shape[0] == self._images
            self._note(pre_activations if by_image else pre_activations.reshape(self._images, -1))
        return func(*args, **(kwargs or {}))

    @abstractmethod
    def _note(self, pre_activations: Tensor) -> None:
        """Look at (N, C, ...), or (N, units) where the images were folded into more rows."""
