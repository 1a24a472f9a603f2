"""Whether every cell hands the gradients back as they come."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naswot_lightning.score.memory_format import in_channels_last
from naswot_lightning.scores.base import AZ_NAS, ONE_PASS, Measured, proxy
from naswot_lightning.scores.feature_maps import each_feature_map
from naswot_lightning.scores.gradients import differentiable, run_with

_SEED = 20240615  # of the signs, the same for every network
_EPSILON = 1e-6


@proxy("az_trainability", source=AZ_NAS, cost=f"{ONE_PASS}, without gradients of weights")
def az_trainability(measured: Measured) -> float:
    """Return the mean over the cells of 2 - s - 1 / (s + 1e-6), at most 0 where s, of each, is 1.

    Random signs are propagated back from a cell's output to its input, each a feature map (N, C, H, W) of
    :func:`~naswot_lightning.scores.feature_maps.feature_modules`; s is the largest singular value of their mean
    product over images and pixels, (C_in, C_out). The input is the map before, or, where a cell of two inputs does not
    look at that, the last one that it looks at. Where the resolution falls, the pixels of a block of the larger map
    are channels of one. The signs come from a generator of the score's own. Lee & Ham draw Kaiming-normal weights and
    N(0, 1) inputs; here both are those of the search.

    Returns:
        The mean; -inf where a cell hands on no gradient, or the very same, or there are fewer than two maps; nan where
        a gradient is not finite.
    """
    values = in_channels_last(partial(_of_cells, measured.network), measured.network, measured.probe.images)
    return sum(values) / len(values) if values else -math.inf


def _of_cells(network: nn.Module, images: Tensor) -> list[float]:
    """Return the value of every cell, up to the first that is not finite and decides the mean."""
    maps: list[Tensor] = []
    values: list[float] = []
    generator = np.random.default_rng(_SEED)
    with differentiable(network, images.device):
        fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
        with each_feature_map(network, maps.append):
            run_with(network, fixed, images.detach().clone().requires_grad_())
        for position in range(1, len(maps)):
            values.append(_of_cell(maps[:position], maps[position], generator))
            if not math.isfinite(values[-1]):
                break
    return values


def _of_cell(earlier: list[Tensor], after: Tensor, generator: np.random.Generator) -> float:
    signs = _signs(after, generator)
    found = _handed_on(earlier, after, signs)
    if found is None or (found.shape == signs.shape and bool(found.eq(signs).all())):
        return -math.inf
    largest = _largest_singular_value(found, signs)
    return 2 - largest - 1 / (largest + _EPSILON) if largest > 0 or math.isnan(largest) else -math.inf


def _handed_on(earlier: list[Tensor], after: Tensor, signs: Tensor) -> Tensor | None:
    """Return the gradient of the last of the earlier maps that gets any; None where none does."""
    for before in reversed(earlier):
        if before.requires_grad and after.requires_grad:
            # A node of one cell may serve the next, too, so that the graph is kept.
            (found,) = torch.autograd.grad(after, before, signs, retain_graph=True, allow_unused=True)
            if found is not None and bool(found.ne(0).any()):
                return found
    return None


def _signs(like: Tensor, generator: np.random.Generator) -> Tensor:
    """Return random signs of the shape and in the memory of ``like``, from bits: a tenth of the time of floats."""
    bits = np.unpackbits(np.frombuffer(generator.bytes(like.numel() // 8 + 1), np.uint8), count=like.numel())
    images, channels, height, width = like.shape
    signs = torch.from_numpy(bits).reshape(images, height, width, channels).permute(0, 3, 1, 2)
    return signs.to(like.device, like.dtype).mul_(2).sub_(1)


def _largest_singular_value(first: Tensor, second: Tensor) -> float:
    """Return that of the mean product of two gradients over images and pixels; nan where they are not finite."""
    height, width = (min(first.shape[side], second.shape[side]) for side in (2, 3))
    rows = [_folded(gradient, height, width).permute(0, 2, 3, 1).flatten(0, 2) for gradient in (first, second)]
    product = (rows[0].T @ rows[1]).cpu().double() / len(rows[0])
    if not bool(product.isfinite().all()):
        return math.nan
    return float(torch.linalg.matrix_norm(product, ord=2))


def _folded(gradient: Tensor, height: int, width: int) -> Tensor:
    """Return (N, C, H, W) as (N, C * a * b, height, width), a block of a x b pixels as channels; zeros fill it up."""
    a, b = (-(-side // wanted) for side, wanted in zip(gradient.shape[2:], (height, width), strict=True))
    if a == b == 1:
        return gradient
    filled = F.pad(gradient, (0, b * width - gradient.shape[3], 0, a * height - gradient.shape[2]))
    images, channels = gradient.shape[:2]
    blocks = filled.reshape(images, channels, height, a, width, b)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(images, channels * a * b, height, width)
