"""Digits: 1,797 real images of handwritten digits that come with scikit-learn (Alpaydin & Kaynak, 1998)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from naswot_lightning.data.dataset import Dataset, channel_statistics, split_tensors
from naswot_lightning.data.splits import held_out

IMAGE_SIZE = 16


def load_digits(data_dir: Path | None = None) -> Dataset:
    """Return the digits as 3x16x16 images: 1,203 to train, 297 to validate, 297 to test; never mirrored."""
    from sklearn.datasets import load_digits as load_arrays

    arrays = load_arrays()
    small = torch.from_numpy(arrays.images).float()[:, None] * (255 / 16)  # (N, 1, 8, 8), 0..16 in the source
    large = F.interpolate(small, size=IMAGE_SIZE, mode="bilinear", align_corners=False)
    images = large.round().to(torch.uint8).permute(0, 2, 3, 1).expand(-1, -1, -1, 3).contiguous()
    rest, test = held_out(len(images), 297 / 1797)
    keep, hold = held_out(len(rest), 297 / 1500, seed=1)
    parts = [[rest[i] for i in keep], [rest[i] for i in hold], test]
    train, val, test_split = split_tensors(images, torch.from_numpy(arrays.target), parts)
    mean, std = channel_statistics(train.images)
    return Dataset("digits", train, val, test_split, 10, mean, std, flip=False, crop_padding=1)
