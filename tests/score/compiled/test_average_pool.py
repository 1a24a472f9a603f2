import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning import activation_kernel
from naswot_lightning.score import recorder
from naswot_lightning.score.compiled.layers import average_pooled

ARGUMENTS = (3, 1, 1, False, False)


def channels_last(*shape, dtype=torch.float32):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(5, 16, 32, 32), (3, 7, 5, 9), (2, 1, 2, 2), (4, 64, 1, 3), (2, 3, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_number_is_torchs(shape, dtype):
    images = channels_last(*shape, dtype=dtype)
    ours = average_pooled(images, *ARGUMENTS)
    assert ours is not None
    assert ours.equal(F.avg_pool2d(images, *ARGUMENTS))
    assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("arguments", "kwargs"),
    [
        ((2, 2), {}),
        ((3, 2, 1, False, False), {}),
        ((3, 1, 1), {}),
        ((3, 1, 0, False, False), {}),
        ((3, 1, 1, False, False, 5), {}),
        (((3, 1), 1, 1, False, False), {}),
        ((3,), {"stride": 2, "padding": 1, "count_include_pad": False}),
    ],
)
def test_other_poolings_are_left_to_torch(arguments, kwargs):
    assert average_pooled(channels_last(2, 4, 8, 8), *arguments, **kwargs) is None


def test_other_tensors_are_left_to_torch():
    plain = torch.randn(2, 4, 8, 8)
    assert average_pooled(plain, *ARGUMENTS) is None
    assert average_pooled(plain.double().contiguous(memory_format=torch.channels_last), *ARGUMENTS) is None
    assert average_pooled(channels_last(2, 4, 8, 8).requires_grad_(), *ARGUMENTS) is None


@pytest.mark.parametrize("size", [(3, 1, 1), ((3, 3), (1, 1), (1, 1))])
def test_keywords_and_pairs_are_understood(size):
    images = channels_last(2, 4, 8, 8)
    names = dict(zip(("kernel_size", "stride", "padding"), size, strict=True))
    ours = average_pooled(input=images, **names, count_include_pad=False)
    assert ours is not None
    assert ours.equal(F.avg_pool2d(images, *ARGUMENTS))


def test_a_network_scores_the_same_with_and_without_it(monkeypatch):
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.ReLU())
    images = channels_last(6, 3, 10, 10)
    ours = activation_kernel(network, images)
    monkeypatch.delitem(recorder._HANDLERS, F.avg_pool2d)
    assert activation_kernel(network, images).matrix.equal(ours.matrix)
