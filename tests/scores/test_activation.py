"""naswot, nwot_normalised and swap against numpy, from what modules return."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from naswot_lightning.naswot import activation_kernel, naswot_score
from tests.scores.networks import branches, cell, chain, outputs_of, probe_of, score


def test_naswot_is_equation_2_and_nwot_normalised_that_of_the_shares():
    network, probe = branches(), probe_of()
    assert score("naswot", network, probe) == naswot_score(network, probe.images)
    for make in (cell, chain):
        probe = probe_of(count=12)
        kernel = activation_kernel(make(), probe.images)
        sign, expected = np.linalg.slogdet(kernel.matrix.double().numpy() / kernel.n_units)
        assert score("nwot_normalised", make(), probe) == pytest.approx(expected, rel=1e-6)
        assert sign == 1
        assert expected < 0


@pytest.mark.parametrize("network", [cell, chain])
def test_swap_counts_distinct_columns(network):
    for count in (5, 16, 20):
        probe = probe_of(count=count)
        layers = outputs_of(network(), nn.ReLU, probe.images)
        signs = np.concatenate([(layer.flatten(1) > 0).numpy()[:16] for layer in layers], axis=1)
        assert score("swap", network(), probe) == len(np.unique(signs, axis=1).T)


def test_swap_by_hand():
    """All 2^3 patterns of more units; equal images have no pattern."""
    torch.manual_seed(0)
    assert score("swap", nn.Sequential(nn.Flatten(), nn.Linear(192, 500), nn.ReLU()), probe_of(count=3)) == 8
    probe = probe_of()
    probe.images[:] = probe.images[:1].clone()
    assert score("swap", chain(), probe) == -math.inf
