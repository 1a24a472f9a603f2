"""Random flips and crops, drawn for each image, of a whole mini-batch at once, normalised in the same pass.

On the CPU one compiled loop reads uint8 and writes float32; elsewhere a few vectorised operations do. Both
give the same bits for the same draws.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from naswot_lightning.naswot.compiled.jit import compiled


class Placements(NamedTuple):
    """Where the images of a mini-batch come to lie."""

    mirrored: Tensor
    """(N,) bool: mirrored left to right, before they are moved (the order of NAS-Bench-201's recipe)."""
    top: Tensor
    """(N,) int64: rows by which they are moved up; zeros come in from below (or from above, where negative)."""
    left: Tensor
    """(N,) int64: columns by which they are moved to the left."""


def draw_placements(count: int, flip: bool, crop_padding: int, generator: torch.Generator) -> Placements:
    """Draw the placements of ``count`` images, by the generator, on its device.

    Each is mirrored with probability 1/2 where they ``flip``, and cut out of so many zeros on each side.
    """
    common: dict[str, Any] = {"generator": generator, "device": generator.device}
    mirrored = torch.rand(count, **common) < 0.5 if flip else torch.zeros(count, dtype=torch.bool)
    shifts = torch.randint(2 * crop_padding + 1, (2, count), **common) - crop_padding if crop_padding else None
    top, left = torch.zeros(2, count, dtype=torch.int64) if shifts is None else shifts
    return Placements(mirrored, top, left)


def placed(images: Tensor, placements: Placements, mean: Tensor, std: Tensor) -> Tensor:
    """Return (N, H, W, 3) uint8 as (N, 3, H, W) float32 in channels_last memory, placed, then (x - mean) / std.

    Mean and standard deviation are (3,), of 255.
    """
    if not _is_compiled_for(images):
        return placed_by_indices(images, placements, mean, std)
    output = torch.empty(images.shape, dtype=torch.float32)
    mirrored, top, left = (draw.cpu().numpy() for draw in placements)
    pixels, results = (tensor.flatten(1).numpy() for tensor in (images.contiguous(), output))
    values = _normalized_bytes(tuple(mean.tolist()), tuple(std.tolist()))
    _place(pixels, mirrored, top, left, images.shape[2], values, results)
    return output.permute(0, 3, 1, 2)


def placed_by_indices(images: Tensor, placements: Placements, mean: Tensor, std: Tensor) -> Tensor:
    """Return what :func:`placed` does, in vectorised operations of torch, on any device."""
    count, height, width, _ = images.shape
    mirrored, top, left = (draw.to(images.device, non_blocking=True)[:, None] for draw in placements)
    # (N, H) rows and (N, W) columns that each pixel comes from; what lies outside of the image is zero.
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    columns = torch.where(mirrored, width - 1 - columns, columns)
    each = torch.arange(count, device=images.device)[:, None, None]
    moved = images[each, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    return normalized_by_arithmetic(moved * inside[..., None], mean, std)


def normalized(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return (N, H, W, 3) uint8 as (N, 3, H, W) float32 in channels_last memory, (x - mean) / std."""
    if not _is_compiled_for(images):
        return normalized_by_arithmetic(images, mean, std)
    none = torch.zeros(len(images), dtype=torch.int64)
    return placed(images, Placements(none.bool(), none, none), mean, std)


def normalized_by_arithmetic(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return what :func:`normalized` does, in vectorised operations of torch, on any device."""
    return images.permute(0, 3, 1, 2).float().sub_(mean.view(1, -1, 1, 1)).div_(std.view(1, -1, 1, 1))


def _is_compiled_for(images: Tensor) -> bool:
    return images.device.type == "cpu" and images.dtype == torch.uint8 and images.shape[-1] == 3


@lru_cache(maxsize=16)
def _normalized_bytes(mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """Return what each of the 256 pixel values becomes in each channel: (256 * 3,) float32."""
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(-1, -1, -1, len(mean))
    values = normalized_by_arithmetic(pixels, torch.tensor(mean), torch.tensor(std))
    return values.permute(0, 2, 3, 1).flatten().numpy()


# Not in parallel: less than 1 ms for 256 images of CIFAR, and a loop without threads can run in any process.
@compiled()
def _place(images, mirrored, top, left, width, values, output):  # type: ignore[no-untyped-def]
    """Write pixels (N, H * W * 3), mirrored and moved, as the ``values`` (256 * 3) they stand for, into the output."""
    count, size = images.shape
    pitch = 3 * width
    black = np.zeros(3, np.uint8)
    for i in range(count):
        source, target = images[i], output[i]
        step = -3 if mirrored[i] else 3
        start = 3 * (width - 1 - left[i] if mirrored[i] else left[i])
        # The columns that show the image.
        first, last = min(width, max(0, -left[i])), max(0, min(width, width - left[i]))
        for begin in range(0, size, pitch):
            row = begin + pitch * top[i]
            shown, end = (first, last) if 0 <= row < size else (width, width)
            for x in range(shown):
                _write(black, 0, values, target, begin + 3 * x)
            for x in range(shown, end):
                _write(source, row + start + step * x, values, target, begin + 3 * x)
            for x in range(end, width):
                _write(black, 0, values, target, begin + 3 * x)


@compiled()
def _write(source, pixel, values, target, offset):  # type: ignore[no-untyped-def]
    """Write one pixel; numba would test each signed index for being negative."""
    for c in range(np.uintp(3)):
        value = np.uintp(3) * np.uintp(source[np.uintp(pixel) + c])
        target[np.uintp(offset) + c] = values[value + c]
