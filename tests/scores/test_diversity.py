"""Diversity of rectifiers against plain autograd and numpy, rectifier by rectifier."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from naswot_lightning.scores import diversity
from naswot_lightning.scores.base import Measured
from tests.scores.networks import cell, chain, probe_of, score, with_batch_statistics


def participation(values):
    rows = np.stack([channel.flatten().double().numpy() for channel in values.detach().unbind(1)])
    rows = rows[rows.std(axis=1) > 0]
    return len(rows) ** 2 / (np.corrcoef(rows) ** 2).sum()


def by_hand(network, probe, classifier, depth):
    """The score by hooks on modules, over the first 16 images; the depth is that of the middle path."""
    clone, given = with_batch_statistics(network), []
    for module in clone.modules():
        if isinstance(module, nn.ReLU) or module is clone.get_submodule(classifier):
            module.register_forward_hook(lambda _, inputs, output: given.append(inputs[0]))
    images = probe.images[:16].clone().requires_grad_()
    logits = clone(images)
    directions = torch.randn(logits.shape, generator=torch.Generator().manual_seed(diversity._SEED))
    gradients = torch.autograd.grad(logits, given, directions)
    *norms, scale = [float(gradient.double().norm()) for gradient in gradients]
    logs, codes, channels = [], 0.0, 0.0
    for values, gradient, norm in zip(given[:-1], gradients, norms, strict=False):
        patterns = len(np.unique((values.detach().flatten(1) > 0).numpy(), axis=1).T)
        directions, health = participation(values), 1 / (1 + norm / scale)
        logs.append(math.log(patterns * health))
        # Over no more than the pixels of all images let one see.
        most = min(gradient.shape[1], gradient[:, 0].numel())
        codes += patterns * participation(gradient) / most * health
        channels += directions * health
    seen = min(directions, logits.shape[1] - 1)
    return math.log(codes) + math.log(channels) + np.mean(logs) + math.log(1 + depth) + math.log(seen)


def chain_of_nine():
    network = chain()
    network[8] = nn.Linear(6, 9)
    return network


def more_channels_than_pixels():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 40, 6), nn.ReLU(), nn.Flatten(), nn.Linear(40, 4)
    )  # fmt: skip


# The last directions are 31 and 3.6: the first two networks count 3 of them, for 4 classes.
@pytest.mark.parametrize(
    ("make", "classifier", "depth", "count", "size", "classes"),
    [
        (cell, "classifier", 10.5, 20, 16, 4),
        (chain, "8", 2, 8, 8, 4),
        (chain_of_nine, "8", 2, 8, 8, 9),
        (more_channels_than_pixels, "5", 2, 8, 8, 4),
    ],
)
def test_rectifier_by_rectifier(make, classifier, depth, count, size, classes):
    network, probe = make(), probe_of(count=count, size=size, classes=classes)
    assert score("diversity", network, probe) == pytest.approx(by_hand(network, probe, classifier, depth), rel=1e-4)


def test_scale_of_the_classifier_makes_no_difference():
    network, expected = cell(), score("diversity", cell())
    with torch.no_grad():
        network.classifier.weight.mul_(100)
    assert score("diversity", network) == pytest.approx(expected, rel=1e-5)


def test_smooth_units_count_where_they_are_asked_for():
    def make(unit):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 8, 3), unit, nn.Flatten(), nn.Linear(288, 4))

    values = [
        diversity.diversity(Measured(make(unit), probe_of(), units=units))
        for unit, units in ((nn.GELU(), "auto"), (nn.GELU(), "all"), (nn.ReLU(), "auto"), (nn.ReLU(), "rectifiers"))
    ]
    assert values[0] == values[1]
    assert values[2] == values[3]
    assert values[0] == pytest.approx(values[2], rel=0.2)


class Gated(nn.Module):
    """Half of 16 channels times the other half, by a convolution, or by a linear layer."""

    def __init__(self, linear):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.layer, self.head = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 16, 1), nn.Linear(8, 4)
        self.linear = linear

    def forward(self, x):
        x = self.stem(x)
        if not self.linear:
            gate, values = self.layer(x).chunk(2, 1)
            return self.head((gate.relu() * values).flatten(2).mean(2))
        x = nn.functional.linear(x.permute(0, 2, 3, 1), self.layer.weight[:, :, 0, 0])
        # As ResMLP has it: the images are the last of three.
        x = torch.addcmul(self.layer.bias, torch.ones(16), x)
        gate, values = x.flatten(1, 2).chunk(2, -1)
        return self.head((gate.relu() * values).mean(1))


def test_channels_are_where_a_layer_puts_them():
    expected = score("diversity", Gated(linear=False))
    assert score("diversity", Gated(linear=True)) == pytest.approx(expected, rel=1e-5)


def test_a_classifier_that_begins_at_0_hands_back_what_any_other_does():
    network = Gated(linear=True)
    nn.init.zeros_(network.head.weight)
    assert math.isfinite(score("diversity", network))


def test_a_network_that_moves_its_images_is_refused_in_one_line():
    class Moves(nn.Module):
        def forward(self, x):
            return x.flatten(2).transpose(0, 1).relu().mean((0, 2))[:, None].expand(-1, 4)

    with pytest.raises(ValueError, match="moves its images out of the first dimension"):
        score("diversity", Moves())
