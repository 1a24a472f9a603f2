"""vkdnw against a backward pass per image and class, in float64."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.scores.networks import branches, probe_of, score


def brute_force_vkdnw(network, probe):
    clone = copy.deepcopy(network).double().eval()
    images = probe.images[:16].double()
    for module in clone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(take_statistics)
    clone(images)
    for module in clone.modules():
        module._forward_pre_hooks.clear()
    parameters = list(clone.parameters())
    chosen, information = parameters[:128], 0
    for image in images:
        logits = clone(image[None])[0]
        rows = []
        for logit in logits:
            gradients = torch.autograd.grad(logit, chosen, retain_graph=True, allow_unused=True)
            rows.append([0.0 if gradient is None else gradient.flatten()[0].item() for gradient in gradients])
        jacobian = np.array(rows)
        p = np.exp(logits.detach().numpy() - logits.detach().numpy().max())
        p = 0.95 * p / p.sum() + 0.05 / len(p)
        values, vectors = np.linalg.eigh(np.diag(p) - np.outer(p, p))
        root = vectors * np.sqrt(values.clip(0))  # root root' = diag(p) - p p'
        weighted = root.T @ jacobian
        information = information + weighted.T @ weighted / len(images)
    quantiles = np.quantile(np.linalg.svd(information, compute_uv=False), np.arange(1, 10) / 10)
    shares = quantiles / quantiles.sum()
    return len(parameters) - np.sum(shares[shares > 0] * np.log(shares[shares > 0])) / math.log(9)


def take_statistics(norm, inputs):
    channels = inputs[0].detach().transpose(0, 1).flatten(1)
    norm.running_mean, norm.running_var = channels.mean(1), channels.var(1, correction=0)


def deep(batch_norm=True):
    """Convolutions with groups, strides and biases; two linear layers, one of them called twice."""

    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 6, 3, stride=2, padding=1)
            self.norm = nn.BatchNorm2d(6) if batch_norm else nn.Identity()
            self.second = nn.Conv2d(6, 4, 3, groups=2, dilation=2, padding="same")
            self.third, self.last = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            x = torch.relu(self.second(torch.relu_(self.norm(self.first(x))))).permute(0, 2, 3, 1)
            return self.last(self.third(torch.relu(self.third(x))).mean((1, 2)))

    torch.manual_seed(4)
    return Deep()


@pytest.mark.parametrize("network", [branches, deep, lambda: deep(batch_norm=False)])
def test_vkdnw_image_by_image_and_class_by_class(network):
    for count in (5, 20):
        probe = probe_of(count=count)
        assert score("vkdnw", network(), probe) == pytest.approx(brute_force_vkdnw(network(), probe), rel=1e-5)


def test_vkdnw_looks_at_the_first_128_tensors():
    class Long(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Linear(192, 8)
            self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(70))
            self.last = nn.Linear(8, 20)

        def forward(self, x):
            x = self.stem(x.flatten(1))
            for layer in self.layers:
                x = nn.functional.layer_norm(x + layer(torch.relu(x)), (8,))
            return self.last(x)

    torch.manual_seed(6)
    network, probe = Long(), probe_of(count=12, classes=20)
    found = score("vkdnw", network, probe) - 144  # tensors
    assert 0.001 < found < 1
    assert found == pytest.approx(brute_force_vkdnw(network, probe) - 144, rel=1e-4)
