"""Networks for tests of training, given as ``--space tests.own_networks.FUNCTION``."""

import os

import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import nn


class Hungry(nn.Module):
    """Runs out of memory, as an allocator says it, with more than 10 images at once while it trains."""

    def __init__(self, classes):
        super().__init__()
        self.network = _without_batch_norm(classes)

    def forward(self, images):
        if self.training and len(images) > 10 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError(f"cannot allocate memory for {len(images)} images")
        return self.network(images)


class SecondHungry(Hungry):
    """Does so only in the second of several processes."""

    def forward(self, images):
        return super().forward(images) if rank_zero_only.rank == 1 else self.network(images)


def _without_batch_norm(classes):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, classes),
    )  # fmt: skip


class Unused(nn.Module):
    """Has a layer that has no part in the output."""

    def __init__(self, classes):
        super().__init__()
        self.network = _without_batch_norm(classes)
        self.unused = nn.Linear(2, 2)

    def forward(self, images):
        return self.network(images)


class Features(nn.Module):
    """Returns 16 features and the logits."""

    def __init__(self, classes):
        super().__init__()
        self.body, self.classifier = _without_batch_norm(16), nn.Linear(16, classes)

    def forward(self, images):
        features = self.body(images)
        return features, self.classifier(features)


def networks():
    """Return the networks by name."""
    return {"plain": _without_batch_norm, "hungry": Hungry, "unused": Unused, "features": Features}


def networks_of_two():
    """Return what only two processes train differently."""
    return {"second_hungry": SecondHungry}


def scarce_networks():
    """Networks of three widths; there is too little memory for the second while a file exists."""

    def of_width(width):
        def build(classes):
            if width == 9 and os.path.exists(os.environ["SCARCE"]):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
            return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), *pool, nn.Linear(width, classes))

        return build

    return {str(width): of_width(width) for width in (8, 9, 16)}
