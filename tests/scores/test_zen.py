import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.scores.networks import SPACE, branches, probe_of, score


def brute_force_zen(network, last, norms, size=8, repeats=4, seed=20210201):
    """Weights written into a clone, BatchNorm in train mode, everything seen by hooks."""
    generator, values = torch.Generator().manual_seed(seed), []
    for _ in range(repeats):
        clone = copy.deepcopy(network).eval()
        layers = {id(m.weight) for m in clone.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        with torch.no_grad():
            for name, parameter in clone.named_parameters():
                if id(parameter) in layers:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator))
                else:
                    parameter.fill_(0 if "bias" in name else 1)
        images, noise = torch.randn(2, 16, 3, size, size, generator=generator)
        maps, spreads = [], []
        last(clone).register_forward_hook(lambda module, inputs, output, maps=maps: maps.append(output.numpy().copy()))
        for norm in norms(clone):
            norm.train()
            norm.register_forward_pre_hook(lambda module, inputs, spreads=spreads: spreads.append(deviation(inputs[0])))
        with torch.no_grad():
            clone(images)
            log_sum = sum(math.log(spread) for spread in spreads)
            clone(images + 0.01 * noise)
        differences = (maps[0] - maps[1]).reshape(16, -1).astype(np.float64)
        values.append(math.log(np.mean([np.sqrt(np.sum(row**2)) for row in differences])) + log_sum)
    return np.mean(values)


def deviation(inputs):
    values = inputs.numpy().astype(np.float64)
    return math.sqrt(np.mean([values[:, channel].var() for channel in range(values.shape[1])]))


def test_zen_agrees_with_a_changed_clone():
    network = SPACE.build(
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    )

    def norms(clone):  # all but the head's, which comes after the last map
        return [m for m in clone.modules() if isinstance(m, nn.BatchNorm2d) and m is not clone.head[0]]

    expected = brute_force_zen(network, lambda clone: clone.cells[-1], norms)
    assert score("zen", network) == pytest.approx(expected, rel=1e-4)


def test_zen_of_branches():
    """The last map is that of the last convolution, before the second BatchNorm."""
    expected = brute_force_zen(branches(), lambda clone: clone.right, lambda clone: [clone.norm])
    assert score("zen", branches()) == pytest.approx(expected, rel=1e-4)


def test_zen_sees_neither_the_weights_nor_the_images():
    assert score("zen", branches(0), probe_of(seed=0)) == score("zen", branches(1), probe_of(count=2, seed=7))


def test_zen_of_a_scale_that_batch_norm_hides():
    """Images seen k times as large: the map behind a BatchNorm is the same, and log k counts for both."""

    class Scaled(nn.Module):
        def __init__(self, factor, *layers):
            super().__init__()
            self.factor, self.layers = factor, nn.Sequential(*layers)

        def forward(self, x):
            return self.layers[2](self.layers[1](self.layers[0](self.factor * x)))

        def feature_modules(self):
            return [self.layers[1]]

    layers = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, eps=1e-9), nn.Flatten()
    grown = score("zen", Scaled(10, *layers)) - score("zen", Scaled(1, *layers))
    assert grown == pytest.approx(math.log(10), rel=1e-5)


def test_a_dead_branch_changes_little_and_a_deep_network_without_batch_norm_fails():
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    live = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    assert math.isfinite(score("zen", SPACE.build(dead)))
    assert math.isfinite(score("zen", SPACE.build(live)))
    deep = nn.Sequential(*(nn.Conv2d(3 if layer == 0 else 64, 64, 3, padding=1) for layer in range(32)))
    assert math.isnan(score("zen", deep))
