"""Scores of gradients against plain backward passes of a clone, and by hand."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.scores.networks import SPACE, branches, cell, conv_and_linear_weights, probe_of, score, with_batch_statistics


def changed_in_place():
    """Outputs that are rectified in place, one so that values below zero count, too; a transposed convolution."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.LeakyReLU(8.0, inplace=True), nn.ConvTranspose2d(5, 4, 2, stride=2),
        nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(inplace=True),
        nn.Linear(8, 4),
    )  # fmt: skip


NETWORKS = [branches, changed_in_place, cell]


def test_jacob_cov_agrees_with_gradients_image_by_image_and_numpy():
    network, probe = branches(), probe_of()
    clone, images = with_batch_statistics(network).double(), probe.images.double()
    rows = []
    for position in range(len(images)):
        image = images[position].clone().requires_grad_()
        clone(torch.cat([images[:position], image[None], images[position + 1 :]])).sum().backward()
        rows.append(image.grad.flatten().numpy())
    values = np.real(np.linalg.eig(np.corrcoef(np.stack(rows)))[0])
    expected = -np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5))
    assert score("jacob_cov", network, probe) == pytest.approx(expected, rel=1e-4)


def test_jacob_cov_looks_at_augmented_images():
    network, probe, other = cell(), probe_of(), probe_of(seed=1)
    augmented = score("jacob_cov", network, replace(probe, augmented=other.images))
    assert augmented == score("jacob_cov", network, other) != score("jacob_cov", network, probe)


@pytest.mark.parametrize("network", NETWORKS)
def test_scores_of_the_loss_agree_with_backward(network):
    """grad_norm and snip weight by weight, fisher channel by channel."""
    clone, probe, outputs = with_batch_statistics(network()).double(), probe_of(), []

    def keep(module, inputs, output):
        output.retain_grad()
        outputs.append(output)

    for module in clone.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_hook(keep)
    F.cross_entropy(clone(probe.images.double()), probe.labels).backward()
    pairs = [(w.detach().numpy(), w.grad.numpy()) for w in conv_and_linear_weights(clone)]
    assert score("grad_norm", network()) == pytest.approx(sum(np.linalg.norm(g) for _, g in pairs), rel=1e-3)
    assert score("snip", network()) == pytest.approx(sum(np.abs(w * g).sum() for w, g in pairs), rel=1e-3)
    total = 0.0
    for output in outputs:
        products = (output.detach() * output.grad).numpy()
        for channel in range(products.shape[1]):
            total += sum(image[channel].sum() ** 2 for image in products) / (2 * len(products))
    assert score("fisher", network()) == pytest.approx(total, rel=1e-3)


def gradient(network, probe):
    loss = F.cross_entropy(network(probe.images.double()), probe.labels)
    return torch.autograd.grad(loss, conv_and_linear_weights(network))


@pytest.mark.parametrize("network", [branches, cell])
def test_grasp_by_differences_of_gradients(network):
    """H g = (g(w + e g) - g(w - e g)) / 2e, in float64."""
    clone, probe, step = with_batch_statistics(network()).double(), probe_of(), 1e-9
    here, there = gradient(clone, probe), []
    for sign in (1, -1):
        moved = copy.deepcopy(clone)
        with torch.no_grad():
            for weight, direction in zip(conv_and_linear_weights(moved), here, strict=True):
                weight += sign * step * direction
        there.append(gradient(moved, probe))
    weights = conv_and_linear_weights(clone)
    expected = -sum(float((w.detach() * (a - b)).sum()) / (2 * step) for w, a, b in zip(weights, *there, strict=True))
    assert score("grasp", network(), probe) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("network", NETWORKS)
def test_zico_weight_by_weight(network):
    """The first half has the image that is too many."""
    for count in (6, 7):
        probe, middle, parts = probe_of(count=count), (count + 1) // 2, []
        for part in (slice(None, middle), slice(middle, None)):
            clone = with_batch_statistics(network())  # float32: ratios of two gradients are as rough as these are
            F.cross_entropy(clone(probe.images[part]), probe.labels[part]).backward()
            parts.append([weight.grad for weight in conv_and_linear_weights(clone)])
        total = 0.0
        for layer in zip(*parts, strict=True):
            values = np.stack([gradient.double().numpy() for gradient in layer])
            spread, mean = np.std(values, axis=0), np.mean(np.abs(values), axis=0)
            total += np.log(np.sum(mean[spread != 0] / spread[spread != 0]))
        assert score("zico", network(), probe) == pytest.approx(total, rel=1e-2)


def test_zico_leaves_out_what_does_not_differ_and_needs_two_mini_batches():
    probe, network = probe_of(count=8), branches()
    probe.images[4:], probe.labels[4:] = probe.images[:4].clone(), probe.labels[:4].clone()
    assert score("zico", network, probe) == -np.inf
    expected = score("zico", network)
    network.unused = nn.Linear(5, 5)
    assert score("zico", network) == expected
    with pytest.raises(ValueError, match="3 images: zico compares 2 mini-batches of at least 2 images"):
        score("zico", branches(), probe_of(count=3))


def brute_force_synflow(network):
    clone = copy.deepcopy(network).double().eval()
    for module in list(clone.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.abs_()
    clone(torch.ones((1, 3, 8, 8), dtype=torch.float64)).sum().backward()
    return math.log(sum(float((w.detach() * w.grad).abs().sum()) for w in conv_and_linear_weights(clone)))


def test_synflow_agrees_with_a_changed_clone_at_every_scaling(monkeypatch):
    for exponents in ((0,), (-400,), (400,)):
        monkeypatch.setattr("naswot_lightning.scores.gradient_scores._FLOW_EXPONENTS", exponents)
        for network in (branches(), SPACE.build(SPACE[11], 4)):
            assert score("synflow", network) == pytest.approx(brute_force_synflow(network), rel=1e-12)
    # It sees neither images nor labels nor BatchNorm.
    network = branches()
    expected = score("synflow", network)
    with torch.no_grad():
        network.norm.weight.fill_(7.0)
        network.norm.running_var.fill_(9.0)
    assert score("synflow", network, probe_of(count=2, seed=5)) == expected


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


@pytest.mark.parametrize(
    ("name", "reentrant"), [("diversity", False), ("grad_norm", False), ("vkdnw", False), ("conv_depth", True)]
)
def test_checkpoints_of_activations_are_refused_in_one_line(name, reentrant):
    class Checkpointed(nn.Sequential):
        def forward(self, x):
            return self[2](checkpoint(self[1], self[0](x), use_reentrant=reentrant))

    network = Checkpointed(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Linear(144, 4)))
    with pytest.raises(RuntimeError, match="the network checkpoints its activations: build it without"):
        score(name, network)
