"""A network is left as it was found, and run in the memory format that is quickest for it."""

import itertools
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning import activation_kernel, naswot_score
from naswot_lightning.spaces import get_space
from tests.brute_force import images_of

SPACE = get_space("nasbench201")


class Untidy(nn.Module):
    """Whatever a network may do in its forward pass that would leave a trace."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.instance = nn.InstanceNorm2d(4, track_running_stats=True)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("replaced", torch.zeros(2))

    def forward(self, x):
        self.calls += 1
        self.replaced = self.replaced + 1
        random.random()
        np.random.rand()
        x = self.instance(self.norm(self.conv(F.relu(x, inplace=not x.requires_grad))) + torch.rand(()))
        return self.drop(F.relu(x)).mean((2, 3))


def test_the_network_and_its_images_are_left_as_they_were_found():
    for training, *settings in itertools.product((True, False), ("paper", "reference"), ("batch", "running")):
        network = nn.Sequential(Untidy(), nn.ReLU(), nn.Linear(4, 2)).train(training)
        network.to(memory_format=torch.channels_last)
        images = images_of().contiguous(memory_format=torch.channels_last)
        untidy = network[0]
        untidy.drop.train(not training)
        untidy.conv.weight.grad = torch.ones_like(untidy.conv.weight)
        untidy.conv.register_forward_hook(lambda *_: None)
        before = {k: v.clone() for k, v in network.state_dict().items()}
        strides = {k: v.stride() for k, v in network.state_dict().items()}
        identities = {k: id(v) for k, v in network.named_buffers()}
        flags = [m.training for m in network.modules()]
        states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
        first = naswot_score(network, images, *settings)
        assert states[0].equal(torch.get_rng_state())
        assert states[1:] == (random.getstate(), np.random.get_state()[1].tolist())
        assert [m.training for m in network.modules()] == flags
        assert {k: id(v) for k, v in network.named_buffers()} == identities
        assert all(v.equal(before[k]) for k, v in network.state_dict().items())
        assert {k: v.stride() for k, v in network.state_dict().items()} == strides
        assert untidy.conv.weight.grad.eq(1).all()
        assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()) == 1
        assert images.equal(images_of())
        assert naswot_score(network, images, *settings) == first
        network(images).sum().backward()


def test_a_failing_forward_is_tried_once_and_restores_the_network():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.calls = nn.BatchNorm2d(3), []

        def forward(self, x):
            self.calls.append(1)
            F.relu(self.norm(x))
            raise RuntimeError("shape mismatch")

    for batch_norm in ("batch", "running"):
        network = Fails()
        with pytest.raises(RuntimeError, match="shape mismatch"):
            naswot_score(network, images_of(), batch_norm=batch_norm)
        assert network.norm.training
        assert network.norm.running_mean is not None
        assert len(network.calls) == 1


def test_scores_do_not_depend_on_the_callers_memory_format():
    network, images = SPACE.build(SPACE[11]), images_of(8, 16)
    formats = []
    network.register_forward_pre_hook(
        lambda _, inputs: formats.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    plain, other = (images.contiguous(memory_format=each) for each in (torch.contiguous_format, torch.channels_last))
    assert activation_kernel(network, plain).matrix.equal(activation_kernel(network, other).matrix)
    assert naswot_score(network, plain) == naswot_score(network, other)
    assert formats == [True] * 4
