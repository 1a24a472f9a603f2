"""Random flips and crops, drawn for each image, of a whole mini-batch at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image of (N, H, W, C) left to right with probability 1/2."""
    mirror = torch.rand(len(images), generator=generator, device=generator.device) < 0.5
    return torch.where(mirror.to(images.device).view(-1, 1, 1, 1), images.flip(2), images)


def cropped(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad (N, H, W, C) by ``padding`` zeros on each side and cut the original size at a place of its own."""
    count, height, width, _ = images.shape
    padded = F.pad(images, (0, 0, padding, padding, padding, padding))
    shifts = torch.randint(2 * padding + 1, (2, count), generator=generator, device=generator.device)
    top, left = shifts.to(images.device)
    rows = top[:, None] + torch.arange(height, device=images.device)  # (N, H)
    columns = left[:, None] + torch.arange(width, device=images.device)  # (N, W)
    each = torch.arange(count, device=images.device)
    return padded[each[:, None, None], rows[:, :, None], columns[:, None, :]]


def augmented(images: Tensor, flip: bool, crop_padding: int, generator: torch.Generator) -> Tensor:
    """Flip, then crop (the order of NAS-Bench-201's recipe) (N, H, W, C) uint8 images."""
    if flip:
        images = flipped(images, generator)
    if crop_padding:
        images = cropped(images, crop_padding, generator)
    return images
