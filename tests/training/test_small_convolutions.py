import subprocess
import sys

import pytest
import torch
from torch import nn

from naswot_lightning.training.small_convolutions import spare_small_convolutions
from tests.conftest import ROOT

TRAINING = """
import torch
from naswot_lightning.training.small_convolutions import spare_small_convolutions
torch.set_num_threads(2)
torch.manual_seed(0)
network = torch.nn.Conv2d({channels}, 16, 1, stride=2, bias=False).to(memory_format=torch.channels_last)
spare_small_convolutions(network)
for _ in range(30):
    images = torch.randn({images}, {channels}, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
    network(images).sum().backward()
"""


@pytest.mark.parametrize(("channels", "images"), [(3, 51), (6, 51), (12, 51)])
def test_an_odd_number_of_images_can_be_trained_on(channels, images):
    program = TRAINING.format(channels=channels, images=images)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_computes_the_same():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(6, 20, 1, stride=2), nn.ReLU(), nn.Conv2d(20, 4, 1, stride=2))
    spared = nn.Sequential(nn.Conv2d(6, 20, 1, stride=2), nn.ReLU(), nn.Conv2d(20, 4, 1, stride=2))
    spared.load_state_dict(plain.state_dict())
    spare_small_convolutions(spared.to(memory_format=torch.channels_last))
    images = torch.randn(8, 6, 12, 12)
    given = [images.clone().requires_grad_() for _ in range(2)]
    for network, batch in zip((plain, spared), given, strict=True):
        network(batch).square().sum().backward()
    assert torch.allclose(given[0].grad, given[1].grad, atol=1e-5)
    for ours, theirs in zip(spared.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-4)


def test_only_small_strided_ones_are_touched():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 1), nn.Conv2d(16, 8, 1, 2), nn.Conv2d(8, 8, 1, 2))
    spare_small_convolutions(network)
    assert [len(module._forward_pre_hooks) for module in network] == [0, 0, 0, 1]
