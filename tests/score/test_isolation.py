"""A network is left as it was found, and run in the memory format that is quickest for it."""

import os
import random
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning import activation_kernel, naswot_score
from naswot_lightning.score import NoRectifierError
from naswot_lightning.seeds import generators_restored, renewed_generators, seeded
from spaces import get_space
from tests.brute_force import brute_force_kernel

SPACE = get_space("nasbench201")


def images_of(count=8, size=8, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


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
        x = self.instance(self.norm(self.conv(x)) + torch.rand(()))
        return self.drop(F.relu(x)).mean((2, 3))


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
@pytest.mark.parametrize("variant", ["paper", "reference"])
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was_found(training, variant, batch_norm):
    network = nn.Sequential(Untidy(), nn.ReLU(), nn.Linear(4, 2)).train(training)
    network[0].drop.train(not training)
    network[0].conv.weight.grad = torch.ones_like(network[0].conv.weight)
    calls = []
    network[0].conv.register_forward_hook(lambda *_: calls.append(1))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    identities = {k: id(v) for k, v in network.named_buffers()}
    flags = [m.training for m in network.modules()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    first = naswot_score(network, images_of(), variant, batch_norm)
    assert states[0].equal(torch.get_rng_state())
    assert states[1] == random.getstate()
    assert states[2] == np.random.get_state()[1].tolist()
    assert [m.training for m in network.modules()] == flags
    assert {k: id(v) for k, v in network.named_buffers()} == identities
    assert all(v.equal(before[k]) for k, v in network.state_dict().items())
    assert network[0].conv.weight.grad.eq(1).all()
    assert len(network[0].conv._forward_hooks) == 1
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network if isinstance(m, nn.ReLU))
    assert naswot_score(network, images_of(), variant, batch_norm) == first
    network(images_of()).sum().backward()


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_a_failing_forward_is_not_swallowed_and_restores_the_network(batch_norm):
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x):
            F.relu(self.norm(x))
            raise RuntimeError("shape mismatch")

    network = Fails()
    with pytest.raises(RuntimeError, match="shape mismatch"):
        naswot_score(network, images_of(), batch_norm=batch_norm)
    assert network.norm.training
    assert network.norm.running_mean is not None


def test_renewed_generators_begin_anew_after_inner_blocks_and_are_restored_at_the_end():
    def draw():
        return random.random(), np.random.rand(), float(np.random.randn()), float(torch.rand(()))

    cpu = torch.device("cpu")
    with generators_restored(cpu):
        expected = draw()
    with seeded(7, cpu):
        of_seven = draw()
    with renewed_generators(7, cpu):
        for inner in (lambda: seeded(8, cpu), lambda: generators_restored(cpu)):
            with inner():
                first = draw()
                with generators_restored(cpu):
                    second = draw()
                assert draw() == second != first  # inside an inner block they go on from where they were
        assert draw() == of_seven
    assert draw() == expected


def test_scoring_leaves_the_number_of_threads_alone():
    """In a process of its own, since threads start with the first score."""
    code = """
import torch
from spaces import get_space
from naswot_lightning import naswot_score
from naswot_lightning.seeds import generators_restored, renewed_generators, seeded
space = get_space("nasbench201")
network, images = space.build(space[284]), torch.randn(4, 3, 8, 8)
before = torch.get_num_threads()
naswot_score(network, images)
print(before, torch.get_num_threads())
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_network_that_rectifies_its_images_in_place_does_not_change_the_callers(memory_format):
    images = torch.randn(4, 3, 5, 5).contiguous(memory_format=memory_format)
    before = images.clone()
    activation_kernel(nn.ReLU(inplace=True), images)
    assert images.equal(before)


class Viewing(nn.Module):
    """Calls .view on a feature map, as many do before a classifier; keeps the memory formats that it was given."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.5)
        self.given = []

    def forward(self, images):
        self.given.append(images.is_contiguous(memory_format=torch.channels_last))
        maps = F.relu(self.norm(self.conv(images)))
        return self.dropout(maps).view(len(maps), -1)


def test_images_are_handed_over_in_channels_last_and_scores_do_not_depend_on_the_callers_format():
    network = SPACE.build(SPACE[11])
    formats = []
    network.register_forward_pre_hook(
        lambda _, inputs: formats.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    images = images_of(8, 16)
    plain, other = images.contiguous(), images.contiguous(memory_format=torch.channels_last)
    assert not plain.is_contiguous(memory_format=torch.channels_last)
    assert activation_kernel(network, plain).matrix.equal(activation_kernel(network, other).matrix)
    assert naswot_score(network, plain) == naswot_score(network, other)
    assert formats == [True] * 4
    assert plain.equal(images)


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_a_network_that_views_its_feature_maps_is_run_again_in_contiguous_memory(variant):
    network, images = Viewing().train(), images_of(6, 12)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    if variant == "reference":
        with pytest.raises(NoRectifierError):  # its rectifier is a function, which the published code does not count
            activation_kernel(network, images, variant)
    else:
        maps = network.norm(network.conv(images))
        network.load_state_dict(state)
        kernel = activation_kernel(network, images)
        np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel([maps.detach().numpy()]))
        assert network.given == [True, False]
    assert network.training
    assert torch.get_rng_state().equal(random)
    assert all(value.equal(state[name]) for name, value in network.state_dict().items())


def test_another_error_of_the_network_is_not_tried_again():
    class Failing(nn.Module):
        calls: ClassVar = []

        def forward(self, images):
            self.calls.append(1)
            raise RuntimeError("out of luck")

    network = Failing()
    with pytest.raises(RuntimeError, match="out of luck"):
        naswot_score(network, images_of(4, 8))
    assert len(network.calls) == 1
