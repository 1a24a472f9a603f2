"""How far a small change of Gaussian images changes the last feature map of Gaussian weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from naswot_lightning.score.isolation import in_channels_last, isolated
from naswot_lightning.scores.base import Measured, score
from naswot_lightning.scores.feature_maps import each_output, feature_modules
from naswot_lightning.scores.gradients import run_with, weights

_SEED = 20210201  # of weights and images, the same for every network
_REPEATS = 4  # published: 32; four cost what one pass of 128 images costs
_IMAGES = 16
_STEP = 0.01


@score("zen", source="Lin et al. 2021", cost=f"{2 * _REPEATS} forward passes of {_IMAGES} images")
def zen(measured: Measured) -> float:
    """Return the mean over 4 draws of log E||f(x) - f(x + 0.01 e)|| + sum of log sqrt(mean variance).

    f(x) is the last feature map (:func:`~naswot_lightning.scores.feature_maps.feature_modules`). Each draw is one of
    weights of convolutions and linear layers, and of 16 images x and e, all from N(0, 1), by a generator of the score's
    own; biases are 0 and the weights of other layers 1. E is the mean over the images. The sum is over the BatchNorm
    layers up to that map, whose division by the deviation it undoes: the variance is that of their input over the
    mini-batch, one per channel, where the published code has its running average. One that does not vary, of a dead
    branch, is left out. The probe gives the images' shape and nothing else.

    Returns:
        The mean; -inf where nothing changes or there is no feature map, nan where a value is not finite, as in a deep
        network without BatchNorm.
    """
    network, probe_images = measured.network, measured.probe.images
    generator = torch.Generator().manual_seed(_SEED)
    values = []
    for _ in range(_REPEATS):
        state = _gaussian_state(network, generator)
        images, noise = torch.randn(2, _IMAGES, *probe_images.shape[1:], generator=generator).to(probe_images.device)
        last_map = partial(_last_map, network, state)
        first, log_spread = in_channels_last(last_map, network, images)
        second, _ = in_channels_last(last_map, network, images + _STEP * noise)
        if first is None or second is None:
            return -math.inf
        distance = float(torch.linalg.vector_norm((first - second).flatten(1).cpu().double(), dim=1).mean())
        if not math.isfinite(distance) or math.isnan(log_spread):
            return math.nan
        values.append(math.log(distance) + log_spread if distance > 0 else -math.inf)
    total = sum(values) / _REPEATS
    return total if total < math.inf else math.nan


def _gaussian_state(network: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Return normal weights of convolutions and linear layers, biases of 0, and 1 for all other parameters."""
    layers = weights(network)
    state = {}
    for name, parameter in network.named_parameters():
        if name in layers:
            drawn = torch.randn(parameter.shape, generator=generator)
            state[name] = drawn.to(parameter.device, parameter.dtype)
        else:
            state[name] = torch.full_like(parameter.detach(), float(not name.endswith("bias")))
    return state


def _last_map(network: nn.Module, state: dict[str, Tensor], images: Tensor) -> tuple[Tensor | None, float]:
    """Return the last feature map (N, C, H, W), and the sum of log sqrt(mean variance) over BatchNorm before it."""
    spread = _BatchSpread()
    last: tuple[Tensor | None, float] = None, 0.0

    def look(feature_map: Tensor) -> None:
        nonlocal last
        last = feature_map.clone(), spread.log_sum

    with (
        isolated(network, images.device),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast(images.device.type, enabled=False),
        each_output(feature_modules(network), look),
        spread,
    ):
        run_with(network, state, images)
    return last


class _BatchSpread(TorchFunctionMode):
    """While active, sums the logarithm of the deviation of the input of every BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.log_sum = 0.0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.batch_norm:
            inputs: Tensor = args[0] if args else (kwargs or {})["input"]
            over = [dimension for dimension in range(inputs.dim()) if dimension != 1]
            variance = float(inputs.var(dim=over, correction=0).cpu().double().mean())
            if variance != 0:  # nothing varies in a dead branch, whose scale does not matter
                self.log_sum += 0.5 * math.log(variance)
        return func(*args, **(kwargs or {}))
