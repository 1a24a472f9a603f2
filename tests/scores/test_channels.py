"""Scores of the channels' correlation against numpy, from what ReLUs are given and return."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.scores.networks import cell, chain, outputs_of, probe_of, score

SCORES = ["relu_entropy", "relu_rank", "relu_input_rank", "relu_volume", "relu_meco"]


def correlations(network, probe, inputs=False):
    """Yield the correlation matrix of each ReLU's channels over the first 32 images; 0 for constant channels."""
    for output in outputs_of(network, nn.ReLU, probe.images, inputs):
        rows = np.stack([channel.flatten().double().numpy() for channel in output[:32].unbind(1)])
        if len(rows) > 128:
            rows = rows[:, :: -(-rows.shape[1] // 2048)]
        with np.errstate(invalid="ignore"):
            yield np.nan_to_num(np.corrcoef(rows))


def entropy_of(matrix):
    shares = [value / np.trace(matrix) for value in np.linalg.eigvalsh(matrix) if value > 1e-9]
    return -sum(share * math.log(share) for share in shares)


def volume_of(matrix):
    sign, logarithm = np.linalg.slogdet(matrix + 1e-4 * np.eye(len(matrix)))
    assert sign == 1
    return len(matrix) * math.exp(logarithm / len(matrix))


def smallest_of(matrix):
    side, total = min(16, len(matrix)), 0.0
    for block in range(len(matrix) // side):
        place = slice(block * side, (block + 1) * side)
        total += max(0.0, np.linalg.eigvalsh(matrix[place, place]).min())
    return total


def wide():
    """144 channels, of every second pixel for 16 images of 16x16."""
    torch.manual_seed(4)
    return nn.Sequential(nn.Conv2d(3, 144, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(144, 4))


# The last one has fewer pixels than channels.
@pytest.mark.parametrize(
    ("network", "count", "size"), [(cell, 12, 16), (chain, 12, 8), (chain, 40, 8), (wide, 16, 16), (wide, 2, 8)]
)
def test_relu_by_relu(network, count, size):
    probe = probe_of(count=count, size=size)
    rectified, given = list(correlations(network(), probe)), correlations(network(), probe, inputs=True)
    for name, expected, tolerance in (
        ("relu_entropy", sum(map(entropy_of, rectified)), 1e-4),
        ("relu_rank", sum(math.exp(entropy_of(matrix)) for matrix in rectified), 1e-4),
        ("relu_input_rank", sum(math.exp(entropy_of(matrix)) for matrix in given), 1e-4),
        ("relu_volume", sum(map(volume_of, rectified)), 1e-3),
        ("relu_meco", sum(map(smallest_of, rectified)), 1e-3),
    ):
        assert score(name, network(), probe) == pytest.approx(expected, rel=tolerance), name


def test_a_relu_is_seen_however_it_is_called_and_one_without_a_channel_that_changes_is_degenerate():
    class Functional(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x).clamp_(min=0)

    layer = nn.Conv2d(3, 5, 3)
    for name in SCORES:
        assert score(name, Functional(layer)) == score(name, nn.Sequential(layer, nn.ReLU(inplace=True)))
        assert score(name, Functional(lambda x: x * 0 - 1)) == -math.inf
