"""What every network of a space must do: have a score, and train."""

import math

import torch
from torch import nn

from naswot_lightning import naswot_score


def assert_scores_and_trains(network: nn.Module) -> None:
    """Score a network of 4 classes on 4 images of 3x16x16, then take two training steps that reach every weight."""
    images = torch.randn(4, 3, 16, 16)
    assert math.isfinite(naswot_score(network, images))
    optimizer = torch.optim.SGD(network.parameters(), 0.05)
    for _ in range(2):
        logits = network(images)
        assert logits.shape == (4, 4)
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, torch.arange(4)).backward()
        assert all(p.grad is not None for p in network.parameters())
        optimizer.step()
