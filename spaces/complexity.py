"""Plain size of a network: parameters and multiply-accumulates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = {
    torch.conv1d, torch.conv2d, torch.conv3d, F.conv1d, F.conv2d, F.conv3d,
    torch.ops.aten.conv1d.default, torch.ops.aten.conv2d.default, torch.ops.aten.conv3d.default,
}  # fmt: skip
_LINEAR = {F.linear, torch.ops.aten.linear.default}  # the latter of exported networks


class _MacCounter(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in _CONVOLUTIONS:
            weight = _argument(1, "weight", args, kwargs)  # (C_out, C_in / groups, *kernel)
            self.macs += output.numel() * weight[0].numel()
        elif func in _LINEAR:
            bias = _argument(2, "bias", args, kwargs)
            # The bias of a linear layer is counted, as the benchmarks do.
            self.macs += output.numel() * (args[0].shape[-1] + (bias is not None))
        return output


def _argument(position: int, name: str, args: Any, kwargs: dict[str, Any] | None) -> Any:
    return args[position] if len(args) > position else (kwargs or {}).get(name)


def count_params(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_macs(network: nn.Module, images: Tensor) -> int:
    """Return the multiply-accumulates of convolutions and linear layers for one image.

    Normalisation, pooling and additions are not counted (the convention of NAS-Bench-201's "flop").

    Args:
        network: any module; it is run once as it stands, so put it in eval mode first.
        images: (N, C, H, W); the count is divided by N.

    Raises:
        ValueError: a part of it is TorchScript, whose calls are not seen.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise ValueError("calls of TorchScript cannot be counted: give the network as it was before torch.jit.script")
    counter = _MacCounter()
    with torch.no_grad(), counter:
        network(images)
    return counter.macs // images.shape[0]
