"""The score by the statistics of the mini-batch, and by those that BatchNorm has gathered in training."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from naswot_lightning import naswot_score
from naswot_lightning.score import activation_kernel
from spaces import get_space

SPACE = get_space("nasbench201")
CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"


def images_of(count=8, size=8, seed=0):
    images = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return images.contiguous(memory_format=torch.channels_last)


def small():
    """Both norms that keep statistics, one that keeps none, dropout; rectifiers that are not in place."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
        nn.Conv2d(6, 6, 3), nn.InstanceNorm2d(6, track_running_stats=True), nn.ReLU(),
        nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2),
    )  # fmt: skip


def taught(network, steps=3):
    """Return it with statistics that are neither those of a new network nor those of the probe."""
    network.train()
    with torch.no_grad():
        for step in range(steps):
            network(1.0 + 2.0 * images_of(seed=100 + step))
    return network


def kernel_in_evaluation(network, images):
    """K_H as the paper writes it, of a network in eval mode, from plain hooks on its modules."""
    codes = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: codes.append((inputs[0] > 0).flatten(1).numpy()))
        for module in network.modules()
        if isinstance(module, nn.ReLU)
    ]
    network.eval()
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    bits = np.concatenate(codes, axis=1).astype(np.int64)
    return bits @ bits.T + (1 - bits) @ (1 - bits).T


@pytest.mark.parametrize("make", [small, lambda: SPACE.build(CELL)])
@pytest.mark.parametrize("training", [True, False])
def test_running_statistics_are_those_of_a_network_in_eval_mode(make, training):
    network, images = taught(make()), images_of()
    network.train(training)
    kernel = activation_kernel(network, images, batch_norm="running")
    expected = kernel_in_evaluation(network, images)
    assert kernel.matrix.numpy().tolist() == expected.tolist()
    assert naswot_score(network, images, batch_norm="running") == pytest.approx(np.linalg.slogdet(expected)[1])
    assert kernel.matrix.tolist() != activation_kernel(network, images).matrix.tolist()


def test_what_a_network_has_learnt_of_its_images_changes_one_score_alone():
    network, images = SPACE.build(CELL), images_of()
    by_batch, running = (naswot_score(network, images, batch_norm=mode) for mode in ("batch", "running"))
    assert by_batch != running
    taught(network)
    assert naswot_score(network, images) == by_batch
    assert naswot_score(network, images, batch_norm="running") != running


def test_statistics_of_the_very_images_give_the_same_score():
    """The one case in which both must agree: BatchNorm's statistics are those of the probe, to the last unit."""
    network = nn.Sequential(nn.BatchNorm2d(3, momentum=None), nn.ReLU())
    images = images_of().double().contiguous()
    with torch.no_grad():
        network.double()(images)
    count = images.numel() / 3
    network[0].running_var.mul_((count - 1) / count)  # of a sample there, of the mini-batch here
    batch, running = (activation_kernel(network, images, batch_norm=mode).matrix for mode in ("batch", "running"))
    assert batch.equal(running)


def test_nan_in_running_statistics_is_a_score_that_failed():
    network = small()
    taught(network)[1].running_var.fill_(math.nan)
    assert math.isnan(naswot_score(network, images_of(), batch_norm="running"))
    assert math.isfinite(naswot_score(network, images_of()))
