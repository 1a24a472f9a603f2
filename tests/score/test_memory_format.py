from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning import activation_kernel, naswot_score
from naswot_lightning.score import NoRectifierError
from spaces import get_space
from tests.brute_force import brute_force_kernel

SPACE = get_space("nasbench201")


def images_of(count=8, size=8, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


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
