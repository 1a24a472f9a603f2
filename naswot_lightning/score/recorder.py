"""Rectified linear units, seen at the call: modules and functions, in place or not, each exactly once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from naswot_lightning.score.compiled.average_pool import average_pooled
from naswot_lightning.score.compiled.batch_norm import normalized_by_batch
from naswot_lightning.score.kernel import CodeDistances


class RectifierRecorder(TorchFunctionMode):
    """While active, hands the input of every rectifier that is called to ``codes``."""

    def __init__(self, codes: CodeDistances) -> None:
        super().__init__()
        self._codes = codes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        pre_activations = rectified_input(func, args, kwargs)
        if pre_activations is not None:
            return self._rectify(func, pre_activations, args, kwargs)
        faster = _FASTER.get(func)
        output = None if faster is None else faster(*args, **kwargs)
        return func(*args, **kwargs) if output is None else output

    def _rectify(self, func: Callable[..., Any], x: Tensor, args: Any, kwargs: dict[str, Any]) -> Any:
        if func in _PLAIN_RELU:
            rectified = self._codes.rectify(x, inplace=func in _RELU_IN_PLACE or bool(kwargs.get("inplace")))
            if rectified is not None:
                return rectified
        self._codes.add(x)  # before the call, which may be in place
        return func(*args, **kwargs)


def rectified_input(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Tensor | None:
    """Return the pre-activations that a call of ``func`` rectifies; None where it is no rectifier."""
    is_rectifier = _RECTIFIERS.get(func)
    if is_rectifier is None or not is_rectifier(args, kwargs):
        return None
    pre_activations: Tensor = args[0] if args else kwargs["input"]
    return pre_activations


def _always(args: Any, kwargs: dict[str, Any]) -> bool:
    return True


def _zero_bound(position: int, name: str, default: float | None) -> Callable[[Any, dict[str, Any]], bool]:
    """Return whether the lower bound, the argument at ``position`` or called ``name``, is 0."""

    def is_zero(args: Any, kwargs: dict[str, Any]) -> bool:
        bound = args[position] if len(args) > position else kwargs.get(name, default)
        return isinstance(bound, int | float) and bound == 0

    return is_zero


_RECTIFIERS: dict[Callable[..., Any], Callable[[Any, dict[str, Any]], bool]] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6), _always),
    **dict.fromkeys((F.leaky_relu, F.leaky_relu_, F.prelu, torch.prelu, Tensor.prelu, F.rrelu, F.rrelu_), _always),
    **dict.fromkeys((F.hardtanh, F.hardtanh_), _zero_bound(1, "min_val", -1.0)),
    **dict.fromkeys((F.threshold, torch.threshold_), _zero_bound(1, "threshold", None)),
    **dict.fromkeys(
        (torch.clamp, torch.clamp_, Tensor.clamp, Tensor.clamp_, torch.clip, Tensor.clip, Tensor.clip_),
        _zero_bound(1, "min", None),
    ),
    **dict.fromkeys(
        (torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_), _zero_bound(1, "min", None)
    ),
}
_RELU_IN_PLACE = {torch.relu_, Tensor.relu_}
_PLAIN_RELU = {F.relu, torch.relu, Tensor.relu} | _RELU_IN_PLACE
# What computes the same sooner, or returns None where it does not apply.
_FASTER: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    F.avg_pool2d: average_pooled,
    F.batch_norm: normalized_by_batch,
}
