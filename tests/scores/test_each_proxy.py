import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning.score import activation_kernel, naswot_score
from tests.scores.networks import SPACE, branches, conv_and_linear_weights, probe_of, score, with_batch_statistics


def test_naswot_is_equation_2():
    network, probe = branches(), probe_of()
    assert score("naswot", network, probe) == naswot_score(network, probe.images)


def test_jacob_cov_agrees_with_gradients_image_by_image_and_numpy():
    network, probe = branches(), probe_of()
    clone, images = with_batch_statistics(network).double(), probe.images.double()
    rows = []
    for position in range(len(images)):
        image = images[position].clone().requires_grad_()
        batch = torch.cat([images[:position], image[None], images[position + 1 :]])
        clone(batch).sum().backward()
        rows.append(image.grad.flatten().numpy())
    values = np.real(np.linalg.eig(np.corrcoef(np.stack(rows)))[0])
    expected = -np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5))
    assert score("jacob_cov", network, probe) == pytest.approx(expected, rel=1e-4)


def test_jacob_cov_looks_at_the_augmented_images_where_there_are_some():
    network, probe, other = SPACE.build(SPACE[1462], 4), probe_of(), probe_of(seed=1)
    plain, augmented = score("jacob_cov", network, probe), score("jacob_cov", network, other)
    assert score("jacob_cov", network, replace(probe, augmented=other.images)) == augmented != plain
    assert score("naswot", network, replace(probe, augmented=other.images)) == score("naswot", network, probe)


def test_jacob_cov_of_a_linear_network_by_hand():
    """All Jacobians are equal: eigenvalues N, 0, ..., 0."""
    network, k = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), 1e-5
    expected = -(math.log(6 + k) + 1 / (6 + k)) - 5 * (math.log(k) + 1 / k)
    assert score("jacob_cov", network) == pytest.approx(expected, rel=1e-8)


def backward_weights(network, probe):
    clone = with_batch_statistics(network)
    F.cross_entropy(clone(probe.images), probe.labels).backward()
    return conv_and_linear_weights(clone)


def test_grad_norm_agrees_with_backward():
    network, probe = branches(), probe_of()
    expected = sum(float(np.linalg.norm(w.grad.numpy())) for w in backward_weights(network, probe))
    assert score("grad_norm", network, probe) == pytest.approx(expected, rel=1e-5)


def test_snip_agrees_with_backward():
    network, probe = branches(), probe_of()
    expected = sum(float(np.abs(w.detach().numpy() * w.grad.numpy()).sum()) for w in backward_weights(network, probe))
    assert score("snip", network, probe) == pytest.approx(expected, rel=1e-5)


def test_snip_and_grad_norm_of_a_linear_network_by_hand():
    """dL/dW = (softmax - onehot)^T x / N."""
    network, probe = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), probe_of()
    weight, bias = (p.detach().double().numpy() for p in network[1].parameters())
    inputs = probe.images.flatten(1).double().numpy()
    powers = np.exp(inputs @ weight.T + bias)
    errors = powers / powers.sum(1, keepdims=True) - np.eye(4)[probe.labels.numpy()]
    gradient = errors.T @ inputs / len(inputs)
    assert score("grad_norm", network, probe) == pytest.approx(np.sqrt((gradient**2).sum()), rel=1e-5)
    assert score("snip", network, probe) == pytest.approx(np.abs(weight * gradient).sum(), rel=1e-5)


@pytest.mark.parametrize("index", [0, 11, 1462])
def test_params_macs_and_rectified_units_by_closed_form(index):
    """MACs are those of the data set's images, rectified units those of the probe's."""
    network, probe = SPACE.build(SPACE[index]), probe_of(size=8, image_size=32)
    expected = SPACE.complexity(SPACE[index])
    assert score("params", network, probe) == expected.params
    assert score("macs", network, probe) == expected.macs
    assert score("rectified_units", network, probe) == activation_kernel(network, probe.images).n_units


def test_params_are_those_that_train():
    network = branches()
    before = score("params", network)
    network.stem.weight.requires_grad_(False)
    assert score("params", network) == before - network.stem.weight.numel()


def test_macs_where_feature_maps_shrink_to_one_pixel():
    network = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 4))
    assert score("macs", network) == 4 * 192 + 4 * 5


def test_random_depends_on_the_weights_alone():
    networks = [branches(seed) for seed in range(40)]
    first = [score("random", network) for network in networks]
    assert [score("random", network, probe_of(seed=9)) for network in networks[::-1]] == first[::-1]
    assert score("random", branches(0).to(memory_format=torch.channels_last)) == first[0]
    assert len(set(first)) == 40
    assert all(0 <= value < 1 for value in first)
    assert 0.3 < sum(first) / 40 < 0.7
    with torch.no_grad():
        networks[0].linear.bias[0] += 1
    assert score("random", networks[0]) != first[0]
