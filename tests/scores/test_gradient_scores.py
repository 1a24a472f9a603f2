"""Scores of gradients against plain backward passes of a clone, and by hand."""

import copy
import math
from dataclasses import replace

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
