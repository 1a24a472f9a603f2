"""The synaptic flow through a network of positive weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from naswot_lightning.logits import logits_of
from naswot_lightning.score.image_dimension import functions_named
from naswot_lightning.score.memory_format import in_channels_last
from naswot_lightning.scores.base import ABDELFATTAH, ONE_PASS, Measured, proxy
from naswot_lightning.scores.gradients import differentiable, gradients, positive_sum, run_with, weights

_BATCH_NORM = functions_named("batch_norm")
# Powers of two for SynFlow's image and output, tried in turn: doubles end at 2^1023 = 1e308, an image of 2^-960
# = 1e-289 lets the flow reach 1e597, and is itself 19 decades above the smallest normal double.
_FLOW_EXPONENTS = (0, -960, 960)


@proxy("synflow", source=f"Tanaka et al. 2020; {ABDELFATTAH}", cost=f"{ONE_PASS} of one image in float64")
def synflow(measured: Measured) -> float:
    """Return the logarithm of the synaptic flow sum |w * dR/dw| over convolution and linear weights.

    R is the sum of the logits for one image of ones, all parameters and buffers replaced by their absolute
    values and BatchNorm by the identity; labels and images are not used, only the images' shape. The flow grows
    with depth to 1e43 in NAS-Bench-201, so it is computed in float64 and its logarithm returned, which ranks
    the same. Beyond float64 the image, the biases and R are scaled by powers of two, to which a network of
    convolutions, linear layers, rectifiers, pooling and sums is indifferent: exact up to flows of 1e590.

    Returns:
        log of the flow; -inf where no flow reaches the output, nan where it is beyond 1e590 or a parameter NaN.
    """
    flows = []
    for exponent in _FLOW_EXPONENTS:
        flow = _log_flow(measured, exponent)
        if math.isfinite(flow):
            return flow
        flows.append(flow)
    return flows[0]


def _log_flow(measured: Measured, exponent: int) -> float:
    """Return log of SynFlow's sum, computed with image, biases and R scaled by 2^exponent."""
    network, images = measured.network, measured.probe.images
    device = images.device if images.device.type != "mps" else torch.device("cpu")  # MPS has no float64
    ones = torch.ones(1, *images.shape[1:], dtype=torch.float64, device=device)

    def products(ones: Tensor) -> list[Tensor]:
        with differentiable(network, images.device), _WithoutBatchNorm():
            state = _absolute_state(network, device, exponent)
            inputs = [state[name].requires_grad_() for name in weights(network)]
            output = run_with(network, state, ones * 2.0**exponent)
            total = logits_of(output, 1, measured.probe.num_classes).sum() * 2.0**exponent
            return [(w.detach() * g).abs().sum() for w, g in zip(inputs, gradients(total, inputs), strict=True)]

    flow = positive_sum(in_channels_last(products, network, ones))
    return math.log(flow) - 2 * exponent * math.log(2) if flow > 0 else flow


def _absolute_state(network: nn.Module, device: torch.device, exponent: int) -> dict[str, Tensor]:
    """Return |parameters and buffers| in float64, biases scaled by 2^exponent."""
    state = {}
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        value = tensor.detach().to(device)
        if value.is_floating_point():
            value = value.double().abs() * 2.0 ** (exponent if name.endswith("bias") else 0)
        state[name] = value
    return state


class _WithoutBatchNorm(TorchFunctionMode):
    """While active, BatchNorm returns its input."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _BATCH_NORM:
            return args[0] if args else kwargs["input"]
        return func(*args, **kwargs)
