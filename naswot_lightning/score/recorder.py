"""What a network calls while it is scored: each ReLU is recorded exactly once, and norms use the mini-batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from naswot_lightning.score.compiled.codes import CodeDistances
from naswot_lightning.score.compiled.layers import average_pooled, normalized_by_batch
from naswot_lightning.score.image_dimension import Dimensions, functions_named
from naswot_lightning.score.kernel import ActivationKernel

_aten = torch.ops.aten
_Call = tuple[Any, dict[str, Any]]
# Where a function takes running mean and variance, and whether to normalise by the mini-batch.
_NORMS: dict[Callable[..., Any], tuple[tuple[int, str], tuple[int, str], tuple[int, str]]] = {
    F.batch_norm: ((1, "running_mean"), (2, "running_var"), (5, "training")),
    F.instance_norm: ((1, "running_mean"), (2, "running_var"), (5, "use_input_stats")),
    **dict.fromkeys(
        (torch.batch_norm, torch.native_batch_norm, _aten.batch_norm.default, _aten.native_batch_norm.default),
        ((3, "running_mean"), (4, "running_var"), (5, "training")),
    ),
    **dict.fromkeys(
        (torch.instance_norm, _aten.instance_norm.default),
        ((3, "running_mean"), (4, "running_var"), (5, "use_input_stats")),
    ),
}
# Of exported and decomposed networks: there is no argument to say it with.
_FIXED_NORMS = {_aten._native_batch_norm_legit_no_training.default, _aten._native_batch_norm_legit.default}


def _by_batch(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> _Call:
    """Return the arguments with which a norm uses the statistics of the mini-batch, and updates none."""
    if func is F.batch_norm and len(args) >= 6:  # as modules call it, 100 times in a network: no list, no dictionary
        return (args[0], None, None, args[3], args[4], True, *args[6:]), kwargs
    if func in _FIXED_NORMS:
        raise ValueError(f"the network calls {func}, whose statistics are fixed: export it without decompositions")
    args, kwargs = list(args), dict(kwargs)
    for (position, name), value in zip(_NORMS[func], (None, None, True), strict=True):
        if position < len(args):
            args[position] = value
        else:
            kwargs[name] = value
    return args, kwargs


class BatchStatistics(TorchFunctionMode):
    """While active, norms that keep statistics use those of the mini-batch, and update none, whoever calls them.

    Nothing of the modules is changed: their buffers stay, so that a subclass may read them, and no module looks as if
    it were training, so that SyncBatchNorm asks no other process.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _NORMS or func in _FIXED_NORMS:
            args, kwargs = _by_batch(func, args, kwargs)
        return func(*args, **kwargs)


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
    """While active, counts the codes of every ReLU that is called, and shows its input to observers.

    Args:
        images: N of the mini-batch.
        dimensions: which of a ReLU's input is that of the images.
        batch_statistics: norms use those of the mini-batch.
        observers: of the forward pass; those of ReLUs see the same inputs.
    """

    def __init__(
        self,
        images: int,
        dimensions: Dimensions,
        batch_statistics: bool,
        observers: Sequence[AbstractContextManager[object]] = (),
    ) -> None:
        super().__init__()
        self._codes = CodeDistances(images)
        self._smooth_units = 0
        self._dimensions = dimensions
        self._batch_statistics = batch_statistics
        self._observers = [each for each in observers if isinstance(each, RectifierObserver)]

    def kernel(self) -> ActivationKernel:
        """Return K_H of the pass.

        Raises:
            NoRectifierError: it called no ReLU.
        """
        self._dimensions.end()
        return self._codes.kernel(self._smooth_units)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # A network of NAS-Bench-201 makes 230 calls: one look-up for each, here, and one for the dimension.
        kwargs = kwargs or {}
        handler = _HANDLERS.get(func)
        output = func(*args, **kwargs) if handler is None else handler(self, func, args, kwargs)
        self._dimensions.follow(func, args, output)
        return output

    def _rectify(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        x: Tensor = args[0] if args else kwargs["input"]
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

    def _activate_smoothly(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        output = func(*args, **kwargs)
        self._smooth_units += output.numel() // self._codes.images
        return output

    def _normalize(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        if self._batch_statistics:
            args, kwargs = _by_batch(func, args, kwargs)
        output = normalized_by_batch(*args, **kwargs) if func is F.batch_norm else None
        return func(*args, **kwargs) if output is None else output

    def _pool(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        output = average_pooled(*args, **kwargs)
        return func(*args, **kwargs) if output is None else output


_Handler = Callable[[RectifierRecorder, Callable[..., Any], Any, dict[str, Any]], Any]


def _rectify_from_zero(position: int, name: str, default: float | None) -> _Handler:
    """Return a handler of functions that are rectifiers where a bound, at ``position`` or called ``name``, is 0."""

    def handle(recorder: RectifierRecorder, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        bound = args[position] if len(args) > position else kwargs.get(name, default)
        if isinstance(bound, Tensor):
            is_zero = bound.numel() > 0 and not bool(bound.any())
        else:
            is_zero = bound is not None and float(bound) == 0
        return recorder._rectify(func, args, kwargs) if is_zero else func(*args, **kwargs)

    return handle


_PLAIN_RELU = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_RELU_IN_PLACE = {torch.relu_, Tensor.relu_}
_HANDLERS: dict[Callable[..., Any], _Handler] = {
    **dict.fromkeys(functions_named("relu relu6 leaky_relu prelu rrelu"), RectifierRecorder._rectify),
    **dict.fromkeys(functions_named("hardtanh"), _rectify_from_zero(1, "min_val", -1.0)),
    **dict.fromkeys(functions_named("threshold"), _rectify_from_zero(1, "threshold", None)),
    **dict.fromkeys(functions_named("clamp clip clamp_min"), _rectify_from_zero(1, "min", None)),
    **dict.fromkeys(
        functions_named("silu gelu hardswish elu selu celu mish softplus"), RectifierRecorder._activate_smoothly
    ),
    **dict.fromkeys((*_NORMS, *_FIXED_NORMS), RectifierRecorder._normalize),
    F.avg_pool2d: RectifierRecorder._pool,
}
