"""Random flips and crops, drawn for each image, of a whole mini-batch at once, normalised in the same pass.

On the CPU one compiled, parallel loop reads uint8 and writes float32; elsewhere a few vectorised operations do. Both
give the same bits for the same draws.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from numba import njit, prange
from torch import Tensor

from naswot_lightning.threads import match_threads


class Placements(NamedTuple):
    """Where the images of a mini-batch come to lie.

    Attributes:
        mirrored: (N,) bool: mirrored left to right, before they are moved (the order of NAS-Bench-201's recipe).
        top: (N,) int64: rows by which they are moved up; zeros come in from below (or from above, where negative).
        left: (N,) int64: columns by which they are moved to the left.
    """

    mirrored: Tensor
    top: Tensor
    left: Tensor


def draw_placements(count: int, flip: bool, crop_padding: int, generator: torch.Generator) -> Placements:
    """Draw the placements of ``count`` images, on the device of the generator.

    Args:
        count: N.
        flip: mirror each with probability 1/2.
        crop_padding: zeros on each side out of which the original size is cut; 0 for no crop.
        generator: decides all of it.
    """
    device = generator.device
    mirrored = torch.zeros(count, dtype=torch.bool, device=device)
    if flip:
        mirrored = torch.rand(count, generator=generator, device=device) < 0.5
    shifts = torch.zeros(2, count, dtype=torch.int64, device=device)
    if crop_padding:
        shifts = torch.randint(2 * crop_padding + 1, (2, count), generator=generator, device=device) - crop_padding
    return Placements(mirrored, shifts[0], shifts[1])


def augmented(
    images: Tensor, flip: bool, crop_padding: int, generator: torch.Generator, mean: Tensor, std: Tensor
) -> Tensor:
    """Flip, crop and normalise each image of a mini-batch.

    Args:
        images: (N, H, W, C) uint8.
        flip: see :func:`draw_placements`.
        crop_padding: see :func:`draw_placements`.
        generator: of the draws.
        mean: (C,) of 255.
        std: (C,) of 255.

    Returns:
        (N, C, H, W) float32 in channels_last memory, on the device of the images.
    """
    return placed(images, draw_placements(len(images), flip, crop_padding, generator), mean, std)


def placed(images: Tensor, placements: Placements, mean: Tensor, std: Tensor) -> Tensor:
    """Return (N, H, W, C) uint8 as (N, C, H, W) float32 in channels_last memory, placed, then (x - mean) / std."""
    if images.device.type != "cpu":
        return placed_by_indices(images, placements, mean, std)
    match_threads()
    output = torch.empty(images.shape, dtype=torch.float32)
    source = images.contiguous().numpy()
    _place(source, *(draw.cpu().numpy() for draw in placements), _values(mean, std).numpy(), output.numpy())
    return output.permute(0, 3, 1, 2)


def placed_by_indices(images: Tensor, placements: Placements, mean: Tensor, std: Tensor) -> Tensor:
    """Return what :func:`placed` does, in vectorised operations of torch, on any device."""
    count, height, width, _ = images.shape
    mirrored, top, left = (draw.to(images.device, non_blocking=True)[:, None] for draw in placements)
    rows = top + torch.arange(height, device=images.device)  # (N, H)
    columns = left + torch.arange(width, device=images.device)  # (N, W)
    inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]
    columns = torch.where(mirrored, width - 1 - columns, columns)
    each = torch.arange(count, device=images.device)[:, None, None]
    moved = images[each, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    return normalized_by_arithmetic(moved * inside[..., None], mean, std)


def normalized(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return (N, H, W, C) uint8 as (N, C, H, W) float32 in channels_last memory, (x - mean) / std."""
    if images.device.type != "cpu":
        return normalized_by_arithmetic(images, mean, std)
    none = torch.zeros(len(images), dtype=torch.int64)
    return placed(images, Placements(none.bool(), none, none), mean, std)


def normalized_by_arithmetic(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return what :func:`normalized` does, in vectorised operations of torch, on any device."""
    return images.permute(0, 3, 1, 2).float().sub_(mean.view(1, -1, 1, 1)).div_(std.view(1, -1, 1, 1))


def _within(positions: Tensor, size: int) -> Tensor:
    return (positions >= 0) & (positions < size)


def _values(mean: Tensor, std: Tensor) -> Tensor:
    """Return what each of the 256 pixel values becomes in each channel: (256, C) float32."""
    return (torch.arange(256.0)[:, None] - mean.cpu().float()) / std.cpu().float()


@njit(parallel=True, nogil=True, cache=True)
def _place(images, mirrored, top, left, values, output):  # type: ignore[no-untyped-def]
    """Write (N, H, W, C) pixels, mirrored and moved, as the ``values`` (256, C) they stand for into (N, H, W, C)."""
    count, height, width, channels = images.shape
    for i in prange(count):
        step = -1 if mirrored[i] else 1
        start = width - 1 - left[i] if mirrored[i] else left[i]
        first, last = max(0, -left[i]), min(width, width - left[i])
        for y in range(height):
            row = y + top[i]
            if row < 0 or row >= height:
                first_inside = last_inside = width
                row = 0
            else:
                first_inside, last_inside = first, last
            for x in range(first_inside):
                for c in range(channels):
                    output[i, y, x, c] = values[0, c]
            for x in range(first_inside, last_inside):
                for c in range(channels):
                    output[i, y, x, c] = values[images[i, row, start + step * x, c], c]
            for x in range(last_inside, width):
                for c in range(channels):
                    output[i, y, x, c] = values[0, c]
