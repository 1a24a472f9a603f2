"""The mean loss of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanLoss(Metric):
    """Mean of the mini-batches' losses, weighted by their images, over all processes."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, count: int) -> None:
        """Add the mean loss of ``count`` images."""
        self.total += loss * count
        self.count += count

    def compute(self) -> Tensor:
        """Return the mean so far."""
        return self.total / self.count
