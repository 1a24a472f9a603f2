"""Scores of the channels' correlation against numpy, from what rectifiers are given and return."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from naswot_lightning.score import NoRectifierError
from tests.scores.networks import cell, outputs_of, probe_of, score, with_batch_statistics

SCORES = ["relu_entropy", "relu_rank", "relu_input_rank", "relu_volume", "relu_meco"]


def chain():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 37, 3), nn.ReLU(), nn.BatchNorm2d(37), nn.Conv2d(37, 5, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(80, 6), nn.ReLU(), nn.Linear(6, 4),
    )  # fmt: skip


def correlations(network, probe, inputs=False):
    """Yield the correlation matrix of each rectifier's channels over the first 32 images; 0 for constant channels."""
    with torch.no_grad():
        outputs = outputs_of(with_batch_statistics(network), nn.ReLU, probe.images, inputs)
    for output in outputs:
        rows = np.stack([channel.flatten().double().numpy() for channel in output[:32].unbind(1)])
        with np.errstate(invalid="ignore"):
            yield np.nan_to_num(np.corrcoef(rows))


def brute_force_entropies(network, probe, inputs=False):
    for matrix in correlations(network, probe, inputs):
        shares = [value / np.trace(matrix) for value in np.linalg.eigvalsh(matrix) if value > 1e-9]
        yield -sum(share * math.log(share) for share in shares)


def brute_force_volume(network, probe):
    total = 0.0
    for matrix in correlations(network, probe):
        sign, logarithm = np.linalg.slogdet(matrix + 1e-4 * np.eye(len(matrix)))
        assert sign == 1
        total += len(matrix) * math.exp(logarithm / len(matrix))
    return total


def brute_force_meco(network, probe):
    total = 0.0
    for matrix in correlations(network, probe):
        side = min(16, len(matrix))
        for block in range(len(matrix) // side):
            place = slice(block * side, (block + 1) * side)
            total += max(0.0, np.linalg.eigvalsh(matrix[place, place]).min())
    return total


@pytest.mark.parametrize(("network", "count"), [(cell, 12), (chain, 12), (chain, 40)])
def test_rectifier_by_rectifier(network, count):
    """The chain's first 37 channels are two blocks, and five that count for the entropy alone."""
    probe = probe_of(count=count, size=16 if network is cell else 8)
    plain = network()
    for module in plain.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    entropies = list(brute_force_entropies(plain, probe))
    assert score("relu_entropy", network(), probe) == pytest.approx(sum(entropies), rel=1e-4)
    assert score("relu_rank", network(), probe) == pytest.approx(sum(map(math.exp, entropies)), rel=1e-4)
    of_inputs = sum(map(math.exp, brute_force_entropies(plain, probe, inputs=True)))
    assert score("relu_input_rank", network(), probe) == pytest.approx(of_inputs, rel=1e-4)
    assert of_inputs != pytest.approx(sum(map(math.exp, entropies)), rel=1e-2)
    assert score("relu_volume", network(), probe) == pytest.approx(brute_force_volume(plain, probe), rel=1e-3)
    assert score("relu_meco", network(), probe) == pytest.approx(brute_force_meco(plain, probe), rel=1e-3)


def test_independent_channels_have_the_entropy_of_their_number():
    class Signs(nn.Module):
        """Four channels of the images' first row, of which each is on where no other is: -1/3 between any two."""

        def forward(self, x):
            place = torch.arange(64).reshape(8, 8) % 4
            return torch.relu(torch.stack([(place == each).float() for each in range(4)]).expand(len(x), 4, 8, 8))

    # Eigenvalues 4/3 three times, and 0.
    assert score("relu_entropy", Signs()) == pytest.approx(math.log(3), rel=1e-4)
    assert score("relu_rank", Signs()) == pytest.approx(3, rel=1e-4)
    assert score("relu_volume", Signs()) == pytest.approx(4 * (1e-4 * (4 / 3 + 1e-4) ** 3) ** (1 / 4), rel=1e-2)
    assert score("relu_meco", Signs()) < 1e-4


def test_a_rectifier_is_seen_however_it_is_called():
    class Functional(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x).clamp_(min=0)

    layer = nn.Conv2d(3, 5, 3)
    for name in SCORES:
        assert score(name, Functional(layer)) == score(name, nn.Sequential(layer, nn.ReLU(inplace=True)))


@pytest.mark.parametrize("name", SCORES)
def test_without_a_channel_that_changes_or_without_a_rectifier(name):
    class Dead(nn.Module):
        def forward(self, x):
            return torch.relu(x * 0 - 1)

    assert score(name, Dead()) == -math.inf
    with pytest.raises(NoRectifierError):
        score(name, nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))
