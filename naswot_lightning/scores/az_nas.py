"""The three scores of AZ-NAS (Lee & Ham 2024) that look at the feature maps of every cell."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naswot_lightning.score.isolation import in_channels_last
from naswot_lightning.scores.base import AZ_NAS, FORWARD, ONE_PASS, Measured, score
from naswot_lightning.scores.feature_maps import OutputObserver, each_output, feature_modules
from naswot_lightning.scores.gradients import differentiable, one_thread, run_with

_LOG_EPSILON = 1e-8  # of the published logarithm
_EPSILON = 1e-6  # of the published reciprocal
_SEED = 20240615  # of the signs, the same for every network


class SpectralEntropies(OutputObserver):
    """Keeps -sum p log(p + 1e-8) of every feature map, p the normalised eigenvalues of its channels' covariance."""

    def __init__(self, network: nn.Module, images: int) -> None:
        super().__init__(feature_modules(network))

    def value_of(self, output: Tensor) -> float:
        """Return the entropy in nats; -inf for a map that is constant, nan for one that is not finite."""
        with one_thread(), torch.autocast(output.device.type, enabled=False):
            rows = output.permute(0, 2, 3, 1).flatten(0, 2).float()  # (N * H * W, C)
            centred = rows - rows.mean(dim=0)
            covariance = (centred.T @ centred).cpu().double() / len(rows)
            if not bool(covariance.isfinite().all()):
                return math.nan
            values = torch.linalg.eigvalsh(covariance).clamp(min=0)
            total = values.sum()
            if float(total) <= 0:
                return -math.inf
            shares = values / total
            return -float((shares * (shares + _LOG_EPSILON).log()).sum())


@score("az_expressivity", source=AZ_NAS, cost=FORWARD, exact_sums=False, observers=(SpectralEntropies,))
def az_expressivity(measured: Measured) -> float:
    """Return the sum over the feature maps of the entropy of their spectrum.

    A map of (N, C, H, W) is N * H * W rows of C channels; p are the eigenvalues of their covariance, divided by their
    sum, and the entropy is -sum p log(p + 1e-8). The maps are those of
    :func:`~naswot_lightning.scores.feature_maps.feature_modules`. Lee & Ham draw Kaiming-normal weights and N(0, 1)
    inputs; here both are those of the search, so that the forward pass is that of the kernel.

    Returns:
        The sum; -inf where a map is constant, or there is none; nan where one is not finite.
    """
    entropies = measured.observed(SpectralEntropies).values
    return sum(entropies) if entropies else -math.inf  # nan comes before -inf in a sum


@score("az_progressivity", source=AZ_NAS, cost=FORWARD, exact_sums=False, observers=(SpectralEntropies,))
def az_progressivity(measured: Measured) -> float:
    """Return the smallest increase of the spectrum's entropy from one feature map to the next.

    Maps and entropies are those of ``az_expressivity``.

    Returns:
        The increase, mostly negative; -inf where a map is constant or there are fewer than two, nan where one is not
        finite.
    """
    entropies = measured.observed(SpectralEntropies).values
    if any(math.isnan(entropy) for entropy in entropies):
        return math.nan
    if len(entropies) < 2 or -math.inf in entropies:
        return -math.inf
    return min(after - before for before, after in pairwise(entropies))


@score("az_trainability", source=AZ_NAS, cost=f"{ONE_PASS}, without gradients of weights")
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
        with each_output(feature_modules(network), maps.append):
            run_with(network, fixed, images.detach().clone().requires_grad_())
        for position in range(1, len(maps)):
            signs = _signs(maps[position], generator)
            found = _handed_on(maps[:position], maps[position], signs)
            if found is None or (found.shape == signs.shape and bool(found.eq(signs).all())):
                values.append(-math.inf)
            else:
                largest = _largest_singular_value(found, signs)
                is_usable = largest > 0 or math.isnan(largest)
                values.append(2 - largest - 1 / (largest + _EPSILON) if is_usable else -math.inf)
            if not math.isfinite(values[-1]):
                break
    return values


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
