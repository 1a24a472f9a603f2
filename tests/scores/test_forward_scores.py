"""nwot_normalised, swap and meco against numpy, from what modules return."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from naswot_lightning.score import NoRectifierError, activation_kernel, naswot_score
from tests.scores.networks import branches, cell, outputs_of, probe_of, score, with_batch_statistics


def chain():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 7, 3), nn.ReLU(), nn.BatchNorm2d(7), nn.Conv2d(7, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 6),
        nn.ReLU(), nn.Linear(6, 4),
    )  # fmt: skip


NETWORKS = [cell, chain]


def test_naswot_is_equation_2():
    network, probe = branches(), probe_of()
    assert score("naswot", network, probe) == naswot_score(network, probe.images)


@pytest.mark.parametrize("network", NETWORKS)
def test_nwot_normalised_is_the_determinant_of_the_shares(network):
    probe = probe_of(count=12)
    kernel = activation_kernel(network(), probe.images)
    sign, expected = np.linalg.slogdet(kernel.matrix.double().numpy() / kernel.n_units)
    assert score("nwot_normalised", network(), probe) == pytest.approx(expected, rel=1e-6)
    assert sign == 1
    assert expected < 0


def test_nwot_normalised_does_not_grow_with_the_units():
    class Twice(nn.Module):
        """Every unit twice over: each entry of K_H doubles."""

        def __init__(self, copies):
            super().__init__()
            self.copies, self.layer = copies, nn.Linear(192, 30)

        def forward(self, x):
            return torch.relu(torch.cat([self.layer(x.flatten(1))] * self.copies, 1))

    torch.manual_seed(0)
    once, twice = Twice(1), Twice(2)
    twice.load_state_dict(once.state_dict())
    assert score("nwot_normalised", once) == pytest.approx(score("nwot_normalised", twice), rel=1e-9)
    assert score("naswot", twice) == pytest.approx(score("naswot", once) + 6 * math.log(2), rel=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("count", [5, 16, 20])
def test_swap_counts_distinct_columns(network, count):
    probe = probe_of(count=count)
    with torch.no_grad():
        layers = outputs_of(with_batch_statistics(network()), nn.ReLU, probe.images)
    signs = np.concatenate([(layer.flatten(1) > 0).numpy()[:16] for layer in layers], axis=1)
    assert score("swap", network(), probe) == len(np.unique(signs, axis=1).T)


def test_swap_sees_every_pattern_of_few_images():
    """More units than patterns: all 2^3 of them."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 500), nn.ReLU())
    assert score("swap", network, probe_of(count=3)) == 8


def test_swap_where_images_are_folded_into_more_rows():
    """Units of (N * k, ...): image i has rows i * k and following."""

    class Folded(nn.Module):
        def forward(self, x):
            return torch.relu(x.reshape(len(x) * 4, -1)).reshape(len(x), -1)

    class Plain(nn.Module):
        def forward(self, x):
            return torch.relu(x.reshape(len(x), -1))

    probe = probe_of(count=16)
    assert score("swap", Folded(), probe) == score("swap", Plain(), probe)


def test_swap_without_rectifier_or_difference():
    with pytest.raises(NoRectifierError):
        score("swap", nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))
    probe = probe_of()
    probe.images[:] = probe.images[:1].clone()
    assert score("swap", chain(), probe) == -math.inf


def brute_force_meco(network, probe):
    layers = (nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.AvgPool2d)
    with torch.no_grad():
        outputs = outputs_of(with_batch_statistics(network), layers, probe.images)
    total = 0.0
    for output in outputs:
        channels = output[0].double().numpy().reshape(output.shape[1], -1)
        if output.dim() == 4 and channels.std(axis=1).min() > 0:
            total += max(0.0, np.real(np.linalg.eig(np.corrcoef(channels))[0]).min())
    return total


@pytest.mark.parametrize("network", NETWORKS)
def test_meco_layer_by_layer(network):
    """The operation none is a layer, too, of constant channels: 0. Rectifiers are not in place here."""
    probe = probe_of(size=16 if network is cell else 8)
    plain = network()
    for module in plain.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    assert score("meco", network(), probe) == pytest.approx(brute_force_meco(plain, probe), rel=1e-4)


def test_meco_of_two_channels_by_hand():
    """Eigenvalues 1 - r and 1 + r; of as many channels as pixels, 0."""
    network = nn.Conv2d(3, 2, 1, bias=False)
    probe = probe_of()
    with torch.no_grad():
        channels = network(probe.images[:1])[0].flatten(1).double().numpy()
    assert score("meco", network, probe) == pytest.approx(1 - abs(np.corrcoef(channels)[0, 1]), rel=1e-5)
    assert score("meco", nn.Conv2d(3, 64, 1), probe) == -math.inf
