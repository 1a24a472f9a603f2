"""Two more scores of the binary codes of the ReLUs; each raises NoRectifierError for a network without ReLUs."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from naswot_lightning.naswot.naswot import ReLUObserver
from naswot_lightning.scores.base import FORWARD, PAPER, Measured, score


@score("nwot_normalised", source=f"{PAPER}, Eq. 2 of K_H / N_A", cost=FORWARD, exact_sums=False)
def nwot_normalised(measured: Measured) -> float:
    """Return log|K_H| - N log N_A = log|K_H / N_A|, for N images: at most 0 (Hadamard's inequality)."""
    logdet = measured.kernel.logdet()
    if not math.isfinite(logdet):
        return logdet
    # Off its diagonal K_H / N_A is the share of units whose codes agree: 1/2 for codes drawn at random, whatever N_A,
    # and the score -N log 2 + log(N + 1). What is left is how far codes are from that, not how many units there are.
    return logdet - len(measured.kernel.matrix) * math.log(measured.kernel.n_units)


# The mini-batch as published; 2^16 patterns are then possible.
MOST_IMAGES = 16


def patterns_of(units: Tensor) -> Tensor:
    """Return which of the 2^N sign patterns the units of a ReLU's input (N, ...) have over the N images."""
    # In the order of the memory, so that nothing is copied.
    if units.dim() == 4 and units.is_contiguous(memory_format=torch.channels_last):
        units = units.permute(0, 2, 3, 1)
    units = units.flatten(1)
    # A unit's pattern is a number: bit i says whether its pre-activation for image i is positive.
    # (units, N) times (N,), exact in float32: below 2^24.
    powers = 2.0 ** torch.arange(len(units), device=units.device)
    patterns = torch.mv((units > 0).float().T, powers)
    seen = torch.zeros(1 << len(units), dtype=torch.bool, device=units.device)
    seen[patterns.long()] = True
    return seen


class SignPatterns(ReLUObserver):
    """While active, notes which sign patterns the units of all ReLUs have over the first 16 images."""

    def __init__(self, network: nn.Module, images: int) -> None:
        self._first = min(images, MOST_IMAGES)
        self._seen = torch.zeros(0)

    def __enter__(self) -> SignPatterns:
        self._seen = torch.zeros(0)
        return self

    def __exit__(self, *exception: object) -> None:
        self._seen = self._seen.cpu()

    def see(self, pre_activations: Tensor) -> None:
        """Add the patterns of one ReLU's units."""
        patterns = patterns_of(pre_activations[: self._first])
        self._seen = patterns if not self._seen.numel() else self._seen | patterns

    @property
    def count(self) -> int:
        """Distinct patterns."""
        return int(self._seen.sum())

    @property
    def tells_images_apart(self) -> bool:
        """Whether any unit is positive for some images and not for others."""
        return bool(self._seen[1:-1].any())


@score("swap", source="Peng et al. 2024", cost=FORWARD, exact_sums=False, observers=(SignPatterns,))
def swap(measured: Measured) -> float:
    """Return how many distinct sign patterns the rectified units have over the first 16 images of the probe.

    A pattern is a unit's, over the images; ``naswot`` compares those of an image, over the units. 16 images, as
    published, allow 65,536 patterns: large networks reach nearly all of them. The score is -inf where no unit tells any
    two images apart, nan where a ReLU met NaN.
    """
    # BatchNorm's statistics are of the whole probe. The published factor exp(-(params - mu)^2 / sigma), whose mu and
    # sigma are set for each space, is left out: that is tuning on accuracies.
    patterns = measured.observed(SignPatterns)
    if measured.kernel.has_nan:
        return math.nan
    return float(patterns.count) if patterns.tells_images_apart else -math.inf
