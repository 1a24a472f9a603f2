"""fisher, grasp and zico against plain backward passes of a clone."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning.scores.base import Measured
from tests.scores.networks import (
    SPACE,
    branches,
    conv_and_linear_weights,
    outputs_of,
    probe_of,
    score,
    with_batch_statistics,
)


def changed_in_place():
    """Convolutions whose outputs are rectified, and added to, in place; a transposed one."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.ReLU(inplace=True), nn.ConvTranspose2d(5, 4, 2, stride=2), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(inplace=True), nn.Linear(8, 4),
    )  # fmt: skip


def cell():
    torch.manual_seed(2)
    return SPACE.build("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|", 4)


NETWORKS = [branches, changed_in_place, cell]


def out_of_place(network):
    clone = with_batch_statistics(network).double()
    for module in clone.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return clone


def loss_of(network, probe):
    return F.cross_entropy(network(probe.images.double()), probe.labels)


@pytest.mark.parametrize("network", NETWORKS)
def test_fisher_channel_by_channel(network):
    clone, probe, outputs = out_of_place(network()), probe_of(), []

    def keep(module, inputs, output):
        output.retain_grad()
        outputs.append(output)

    for module in clone.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_hook(keep)
    loss_of(clone, probe).backward()
    total = 0.0
    for output in outputs:
        products = (output.detach() * output.grad).numpy()
        for channel in range(products.shape[1]):
            per_image = [products[image, channel].sum() for image in range(len(products))]
            total += sum(value**2 for value in per_image) / (2 * len(per_image))
    assert score("fisher", network(), probe) == pytest.approx(total, rel=1e-3)


def test_gradients_by_channel_and_by_weight_agree():
    """Of a layer without bias, sum over outputs of a * dL/da = sum over weights of w * dL/dw."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=2, bias=False), nn.Flatten(),
        nn.Linear(96, 4, bias=False),
    )  # fmt: skip
    gradients = Measured(network, probe_of()).loss_gradients
    by_weights = [float((weight * gradient).sum()) for weight, gradient in gradients.of_weights]
    by_channels = [float(sums.sum()) for sums in gradients.of_channels]
    assert sorted(by_channels) == pytest.approx(sorted(by_weights), rel=1e-4)


def gradient(network, probe):
    weights = conv_and_linear_weights(network)
    return torch.autograd.grad(loss_of(network, probe), weights)


@pytest.mark.parametrize("network", [branches, cell])
def test_grasp_by_differences_of_gradients(network):
    """H g = (g(w + e g) - g(w - e g)) / 2e, in float64."""
    clone, probe, step = out_of_place(network()), probe_of(), 1e-9
    here = gradient(clone, probe)
    there = []
    for sign in (1, -1):
        moved = copy.deepcopy(clone)
        with torch.no_grad():
            for weight, direction in zip(conv_and_linear_weights(moved), here, strict=True):
                weight += sign * step * direction
        there.append(gradient(moved, probe))
    weights = conv_and_linear_weights(clone)
    expected = -sum(float((w.detach() * (a - b)).sum()) / (2 * step) for w, a, b in zip(weights, *there, strict=True))
    assert score("grasp", network(), probe) == pytest.approx(expected, rel=1e-3)


def test_grasp_of_a_linear_network_by_hand():
    """H of softmax regression: sum over images of (diag(p) - p p') x x' / N."""
    network, probe = nn.Sequential(nn.Flatten(), nn.Linear(192, 4, bias=False)), probe_of()
    weight = network[1].weight.detach().double().numpy()
    inputs = probe.images.flatten(1).double().numpy()
    powers = np.exp(inputs @ weight.T)
    p = powers / powers.sum(1, keepdims=True)
    g = (p - np.eye(4)[probe.labels.numpy()]).T @ inputs / len(inputs)
    product = sum(np.outer((np.diag(q) - np.outer(q, q)) @ g @ x, x) for q, x in zip(p, inputs, strict=True))
    assert score("grasp", network, probe) == pytest.approx(-(weight * product).sum() / len(inputs), rel=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("count", [6, 7])
def test_zico_weight_by_weight(network, count):
    """The first half has the image that is too many."""
    probe, middle = probe_of(count=count), (count + 1) // 2
    parts = []
    for part in (slice(None, middle), slice(middle, None)):
        clone = with_batch_statistics(network())  # float32: ratios of two gradients are as rough as these are
        F.cross_entropy(clone(probe.images[part]), probe.labels[part]).backward()
        layers = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
        parts.append([module.weight.grad for module in clone.modules() if isinstance(module, layers)])
    total = 0.0
    for layer in zip(*parts, strict=True):
        values = np.stack([gradient.double().numpy() for gradient in layer])
        spread, mean = np.std(values, axis=0), np.mean(np.abs(values), axis=0)
        total += np.log(np.sum(mean[spread != 0] / spread[spread != 0]))
    assert score("zico", network(), probe) == pytest.approx(total, rel=1e-2)


def test_zico_leaves_out_what_does_not_differ():
    """Equal halves differ nowhere; a layer that gets no gradient counts nothing."""
    probe = probe_of(count=8)
    probe.images[4:], probe.labels[4:] = probe.images[:4].clone(), probe.labels[:4].clone()
    assert score("zico", branches(), probe) == -np.inf
    network = branches()
    expected = score("zico", network)
    network.unused = nn.Linear(5, 5)
    assert score("zico", network) == expected


def test_zico_needs_two_mini_batches():
    with pytest.raises(ValueError, match="3 images: zico compares 2 mini-batches of at least 2 images"):
        score("zico", branches(), probe_of(count=3))


def test_outputs_of_layers_are_seen_whether_modules_or_functions():
    network, probe = branches(), probe_of()
    modules = outputs_of(with_batch_statistics(network), (nn.Conv2d, nn.Linear), probe.images)
    assert len(Measured(network, probe).loss_gradients.of_channels) == len(modules) == 4
