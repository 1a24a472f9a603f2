"""BatchNorm and InstanceNorm by the statistics of the mini-batch, chosen at the call, whoever calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

_aten = torch.ops.aten
_Argument = tuple[int, str]
# Where a function takes running mean and variance, and whether to normalise by the mini-batch.
_NORMS: dict[Callable[..., Any], tuple[_Argument, _Argument, _Argument]] = {
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
_FIXED = {_aten._native_batch_norm_legit_no_training.default, _aten._native_batch_norm_legit.default}


class BatchStatistics(TorchFunctionMode):
    """While active, norms that keep statistics use those of the mini-batch, and update none.

    Nothing of the modules is changed: their buffers stay, so that a subclass may read them, and no module looks as if
    it were training, so that SyncBatchNorm asks no other process.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        args, kwargs = by_batch(func, args, kwargs or {})
        return func(*args, **kwargs)


def by_batch(func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments with which ``func`` normalises by the mini-batch; as they are where it is no such norm."""
    positions = _NORMS.get(func)
    if positions is None:
        if func in _FIXED:
            raise ValueError(f"the network calls {func}, whose statistics are fixed: export it without decompositions")
        return args, kwargs
    args, kwargs = list(args), dict(kwargs)
    for (position, name), value in zip(positions, (None, None, True), strict=True):
        if position < len(args):
            args[position] = value
        else:
            kwargs[name] = value
    return args, kwargs
