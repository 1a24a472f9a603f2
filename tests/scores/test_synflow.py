import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.scores.networks import SPACE, branches, conv_and_linear_weights, probe_of, score


def brute_force_synflow(network, shape=(1, 3, 8, 8)):
    clone = copy.deepcopy(network).double().eval()
    for module in list(clone.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.abs_()
    clone(torch.ones(shape, dtype=torch.float64)).sum().backward()
    return math.log(sum(float((w.detach() * w.grad).abs().sum()) for w in conv_and_linear_weights(clone)))


def test_synflow_agrees_with_a_changed_clone():
    assert score("synflow", branches()) == pytest.approx(brute_force_synflow(branches()), rel=1e-12)
    network = SPACE.build(SPACE[11], 4)
    assert score("synflow", network) == pytest.approx(brute_force_synflow(network), rel=1e-12)


def test_synflow_of_two_linear_layers_by_hand():
    """R = 1^T |W2| |W1| 1, and each of the two layers contributes R."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 5, bias=False), nn.Linear(5, 4, bias=False))
    first, second = (layer.weight.detach().double().abs().numpy() for layer in network[1:])
    expected = 2 * (second @ first @ np.ones(192)).sum()
    assert score("synflow", network) == pytest.approx(math.log(expected), rel=1e-12)


@pytest.mark.parametrize("value", [100.0, -1e4, 1e-5])
def test_synflow_beyond_the_range_of_doubles(value):
    """100 layers of 32 equal weights: R = 192 w (32 w)^99 32, up to 1e550 and down to 1e-347."""
    layers = [nn.Linear(192, 32, bias=False), *(nn.Linear(32, 32, bias=False) for _ in range(99))]
    network = nn.Sequential(nn.Flatten(), *(nn.Sequential(layer, nn.ReLU()) for layer in layers))
    with torch.no_grad():
        for layer in layers:
            layer.weight.fill_(value)
    w = float(layers[0].weight.detach()[0, 0].abs())
    log_r = math.log(192 * w) + 99 * math.log(32 * w) + math.log(32)
    assert score("synflow", network, probe_of(classes=32)) == pytest.approx(math.log(100) + log_r, rel=1e-12)


def test_synflow_with_biases_does_not_depend_on_the_scaling(monkeypatch):
    network = branches()
    unscaled = score("synflow", network)
    for exponent in (-400, 400):
        monkeypatch.setattr("naswot_lightning.scores.gradient_scores._FLOW_EXPONENTS", (exponent,))
        assert score("synflow", network) == pytest.approx(unscaled, rel=1e-12)


def test_synflow_sees_neither_images_nor_labels_nor_batch_norm():
    network = branches()
    expected = score("synflow", network)
    assert score("synflow", network, probe_of(count=2, seed=5)) == expected
    with torch.no_grad():
        network.norm.weight.fill_(7.0)
        network.norm.running_var.fill_(9.0)
    assert score("synflow", network) == expected
