"""Rectified linear units, seen at the call: modules and functions, in place or not, each exactly once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from naswot_lightning.score.batch_statistics import by_batch
from naswot_lightning.score.compiled.average_pool import average_pooled
from naswot_lightning.score.compiled.batch_norm import normalized_by_batch
from naswot_lightning.score.image_dimension import FoundDimensions, ImagesOutermost, RectifierInputs, functions_named
from naswot_lightning.score.kernel import CodeDistances


class RectifierObserver(AbstractContextManager["RectifierObserver"]):
    """Looks at the pre-activations of every rectifier while the kernel's forward pass runs.

    Entered right before a pass, and anew where the pass has to begin again: ``__enter__`` forgets what was seen.
    """

    def __exit__(self, *exception: object) -> None:
        """Keep what was seen."""

    @abstractmethod
    def see(self, pre_activations: Tensor) -> None:
        """Look at the input of a rectifier, (N, C, ...) or (N, units), before the call, which may be in place."""


class RectifierRecorder(TorchFunctionMode):
    """While active, hands the input of every rectifier that is called to ``codes``, and to observers.

    Args:
        codes: of all rectifiers.
        dimensions: which of a rectifier's input is that of the images.
        batch_statistics: norms use those of the mini-batch.
        observers: of the same inputs.

    Attributes:
        smooth_units: per image, units of activations that are no rectifiers (GELU, SiLU and the like).
    """

    def __init__(
        self,
        codes: CodeDistances,
        dimensions: ImagesOutermost | FoundDimensions | RectifierInputs,
        batch_statistics: bool,
        observers: Sequence[RectifierObserver] = (),
    ) -> None:
        super().__init__()
        self.smooth_units = 0
        self._codes = codes
        self._dimensions = dimensions
        self._batch_statistics = batch_statistics
        self._observers = observers

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        is_rectifier = _RECTIFIERS.get(func)
        if is_rectifier is not None and is_rectifier(args, kwargs):
            output = self._rectify(func, args[0] if args else kwargs["input"], args, kwargs)
        else:
            output = self._call(func, args, kwargs)
            if func in _SMOOTH:
                self.smooth_units += output.numel() // self._codes.images
        self._dimensions.follow(func, args, output)
        return output

    def _rectify(self, func: Callable[..., Any], x: Tensor, args: Any, kwargs: dict[str, Any]) -> Any:
        by_image = self._dimensions.by_image(x)
        if by_image is None:
            return func(*args, **kwargs)
        for observer in self._observers:
            observer.see(by_image)
        if by_image is x and func in _PLAIN_RELU:
            rectified = self._codes.rectify(x, inplace=func in _RELU_IN_PLACE or bool(kwargs.get("inplace")))
            if rectified is not None:
                return rectified
        self._codes.add(by_image)  # before the call, which may be in place
        return func(*args, **kwargs)

    def _call(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        if self._batch_statistics:
            args, kwargs = by_batch(func, args, kwargs)
        faster = _FASTER.get(func)
        output = None if faster is None else faster(*args, **kwargs)
        return func(*args, **kwargs) if output is None else output


def _always(args: Any, kwargs: dict[str, Any]) -> bool:
    return True


def _bends_at_zero(position: int, name: str, default: float | None) -> Callable[[Any, dict[str, Any]], bool]:
    """Return whether the lower bound, the argument at ``position`` or called ``name``, is 0."""

    def is_zero(args: Any, kwargs: dict[str, Any]) -> bool:
        bound = args[position] if len(args) > position else kwargs.get(name, default)
        if isinstance(bound, Tensor):
            return bound.numel() > 0 and not bool(bound.any())
        return bound is not None and float(bound) == 0

    return is_zero


_RECTIFIERS: dict[Callable[..., Any], Callable[[Any, dict[str, Any]], bool]] = {
    **dict.fromkeys(functions_named("relu relu6 leaky_relu prelu rrelu"), _always),
    **dict.fromkeys(functions_named("hardtanh"), _bends_at_zero(1, "min_val", -1.0)),
    **dict.fromkeys(functions_named("threshold"), _bends_at_zero(1, "threshold", None)),
    **dict.fromkeys(functions_named("clamp clip clamp_min"), _bends_at_zero(1, "min", None)),
}
_SMOOTH = functions_named("silu gelu hardswish elu selu celu mish softplus")
_PLAIN_RELU = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_RELU_IN_PLACE = {torch.relu_, Tensor.relu_}
# What computes the same sooner, or returns None where it does not apply.
_FASTER: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    F.avg_pool2d: average_pooled,
    F.batch_norm: normalized_by_batch,
}
