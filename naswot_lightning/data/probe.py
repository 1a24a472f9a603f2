"""The probe: the one mini-batch on which every candidate is scored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from naswot_lightning.config import ProbeSplit
from naswot_lightning.data.augmentation import draw_placements, normalized, placed
from naswot_lightning.data.dataset import Dataset
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.data.splits import expect_split_file_fits
from naswot_lightning.errors import UserError
from naswot_lightning.scores.base import Probe
from naswot_lightning.seeds import derived_seed

_NOISE_SIDE, _NOISE_CLASSES = 32, 10


def load_probe(
    name: str,
    data_dir: str | Path,
    batch_size: int,
    seed: int,
    probe_size: int | None = None,
    image_size: int | None = None,
    split_file: str | None = None,
) -> Probe:
    """Return one mini-batch of a data set, as :func:`probe_source` draws it."""
    return probe_source(name, data_dir, image_size, split_file)(batch_size, seed, probe_size)


def probe_source(
    name: str, data_dir: str | Path, image_size: int | None = None, split_file: str | None = None
) -> Callable[[int, int, int | None], Probe]:
    """Return what draws mini-batches by (batch_size, seed, probe_size), of a data set that is loaded once.

    ``noise`` is normal inputs (Figure 5, top right), of the ``image_size``.
    """
    if name == "noise":
        expect_split_file_fits(name, split_file)
        return partial(_draw_noise, image_size)
    return partial(draw_probe, load_dataset(name, data_dir, image_size, split_file))


def _draw_noise(image_size: int | None, batch_size: int, seed: int, probe_size: int | None = None) -> Probe:
    generator = torch.Generator().manual_seed(derived_seed(seed, "probe"))
    side = probe_size or image_size or _NOISE_SIDE
    images = torch.randn(batch_size, 3, side, side, generator=generator)
    labels = torch.randint(_NOISE_CLASSES, (batch_size,), generator=generator)
    return _probe(images, labels, _NOISE_CLASSES, _NOISE_SIDE)


def draw_probe(
    dataset: Dataset,
    batch_size: int,
    seed: int,
    probe_size: int | None = None,
    option: str = "batch_size",
    split: ProbeSplit = "train",
) -> Probe:
    """Draw distinct images of one split by ``seed``, as they are and augmented, resized to ``probe_size``.

    ``option`` is what the number of images is called where it is too large, which is a UserError.
    """
    drawn, kind = (dataset.train, "training") if split == "train" else (dataset.test, "test")
    if batch_size > len(drawn):
        raise UserError(
            f"--{option} {batch_size}: {dataset.name} has only {len(drawn)} {kind} images; choose at most that"
        )
    generator = torch.Generator().manual_seed(derived_seed(seed, "probe"))
    chosen = torch.randperm(len(drawn), generator=generator)[:batch_size].sort().values
    pixels, statistics = drawn.images[chosen], (torch.tensor(dataset.mean), torch.tensor(dataset.std))
    # Augmented by a generator of their own, so that the images are the same with and without.
    treatment = torch.Generator().manual_seed(derived_seed(seed, "probe", "augmentation"))
    placements = draw_placements(batch_size, dataset.flip, dataset.crop_padding, treatment)
    sides = [normalized(pixels, *statistics), placed(pixels, placements, *statistics)]
    if probe_size is not None and probe_size != dataset.image_size:
        sides = [F.interpolate(side, size=probe_size, mode="bilinear", antialias=True) for side in sides]
    probe = _probe(sides[0], drawn.labels[chosen], dataset.num_classes, dataset.image_size)
    return replace(probe, augmented=sides[1].contiguous(memory_format=torch.channels_last))


def _probe(images: Tensor, labels: Tensor, num_classes: int, image_size: int) -> Probe:
    fingerprint = hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()[:16]
    dense = images.contiguous(memory_format=torch.channels_last)
    return Probe(dense, labels, num_classes, image_size, fingerprint)
