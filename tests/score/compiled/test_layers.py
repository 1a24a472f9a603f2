"""BatchNorm and average pooling of the scoring pass beside torch's own."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning import activation_kernel
from naswot_lightning.score import naswot
from naswot_lightning.score.compiled.layers import average_pooled, normalized_by_batch

POOLING = (3, 1, 1, False, False)


def channels_last(*shape, dtype=torch.float32):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(5, 16, 32, 32), (3, 7, 5, 9), (2, 1, 2, 2), (4, 64, 1, 3), (2, 3, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_pooled_number_is_torchs(shape, dtype):
    images = channels_last(*shape, dtype=dtype)
    ours = average_pooled(images, *POOLING)
    assert ours is not None
    assert ours.equal(F.avg_pool2d(images, *POOLING))
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_other_poolings_are_left_to_torch():
    for arguments, kwargs in (
        ((2, 2), {}), ((3, 2, 1, False, False), {}), ((3, 1, 1), {}), ((3, 1, 0, False, False), {}),
        ((3, 1, 1, False, False, 5), {}), (((3, 1), 1, 1, False, False), {}),
        ((3,), {"stride": 2, "padding": 1, "count_include_pad": False}),
    ):  # fmt: skip
        assert average_pooled(channels_last(2, 4, 8, 8), *arguments, **kwargs) is None


def test_tensors_that_are_not_pooled_here_are_left_to_torch():
    plain = torch.randn(2, 4, 8, 8)
    assert average_pooled(plain, *POOLING) is None
    assert average_pooled(plain.double().contiguous(memory_format=torch.channels_last), *POOLING) is None
    assert average_pooled(channels_last(2, 4, 8, 8).requires_grad_(), *POOLING) is None


@pytest.mark.parametrize("size", [(3, 1, 1), ((3, 3), (1, 1), (1, 1))])
def test_keywords_and_pairs_are_understood(size):
    images = channels_last(2, 4, 8, 8)
    names = dict(zip(("kernel_size", "stride", "padding"), size, strict=True))
    ours = average_pooled(input=images, **names, count_include_pad=False)
    assert ours is not None
    assert ours.equal(F.avg_pool2d(images, *POOLING))


def test_a_network_scores_the_same_with_and_without_it(monkeypatch):
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.ReLU())
    images = channels_last(6, 3, 10, 10)
    ours = activation_kernel(network, images)
    monkeypatch.delitem(naswot._HANDLERS, F.avg_pool2d)
    assert activation_kernel(network, images).matrix.equal(ours.matrix)


SHAPES = [(8, 16, 32, 32), (3, 7, 5, 9), (4, 64, 1, 3), (2, 1, 2, 2), (128, 64, 8, 8)]


def batch(*shape, mean=0.3, std=2.0):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * std + mean
    return values.bfloat16().contiguous(memory_format=torch.channels_last)


def arguments(channels):
    generator = torch.Generator().manual_seed(1)
    weight, bias = (torch.randn(channels, generator=generator) for _ in range(2))
    return {"running_mean": None, "running_var": None, "weight": weight, "bias": bias, "training": True, "eps": 1e-5}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean", [0.0, 0.3, -20.0])
def test_bfloat16_values_are_those_of_float32_rounded_once(shape, mean):
    images, given = batch(*shape, mean=mean), arguments(shape[1])
    exact = F.batch_norm(images.double(), None, None, given["weight"].double(), given["bias"].double(), True)
    ours = normalized_by_batch(images, **given)
    assert ours is not None
    assert ours.is_contiguous(memory_format=torch.channels_last)
    # half a unit in the last place of 8 bits, and what float32 loses where mean and deviation differ much
    tolerance = exact.abs() * 2.0**-8 + 1e-3 * max(abs(mean), 1.0) * given["weight"].abs().max()
    assert ((ours.double() - exact).abs() <= tolerance).all()
    torchs = F.batch_norm(images, None, None, given["weight"], given["bias"], True)
    assert (ours == torchs).double().mean() > 0.97


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean", [0.0, 0.3, -20.0, 1000.0])
def test_float32_values_are_exact_to_rounding(shape, mean):
    generator = torch.Generator().manual_seed(0)
    images = (torch.randn(shape, generator=generator) * 2 + mean).contiguous(memory_format=torch.channels_last)
    given = arguments(shape[1])
    exact = F.batch_norm(images.double(), None, None, given["weight"].double(), given["bias"].double(), True)
    ours = normalized_by_batch(images, **given)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    error = float((ours - exact).abs().max())
    # what rounding leaves of x * scale + shift where the mean is many deviations away
    assert error <= 1e-6 * float(given["weight"].abs().max()) * max(abs(mean), 5.0)


def test_float32_values_are_nearer_to_the_exact_ones_than_torchs():
    images, given = batch(128, 16, 32, 32).float(), arguments(16)
    exact = F.batch_norm(images.double(), None, None, given["weight"].double(), given["bias"].double(), True)
    ours = normalized_by_batch(images, **given)
    torchs = F.batch_norm(images, None, None, given["weight"], given["bias"], True)
    assert (ours - exact).abs().max() < (torchs - exact).abs().max()


def test_a_constant_channel_is_its_bias_and_nan_stays():
    images, given = batch(4, 3, 2, 2), arguments(3)
    images[:, 1] = 5.0
    ours = normalized_by_batch(images, **given)
    assert ours[:, 1].float().sub(given["bias"][1]).abs().max() < 0.02
    images[0, 0, 0, 0] = math.nan
    assert normalized_by_batch(images, **given)[:, 0].isnan().all()


def test_other_normalisations_are_left_to_torch():
    own = {"running_mean": torch.zeros(3), "running_var": torch.ones(3)}
    for change in ({"training": False}, own, {"weight": None}, {"bias": None}):
        assert normalized_by_batch(batch(2, 3, 4, 4), **{**arguments(3), **change}) is None


def test_tensors_that_are_not_normalized_here_are_left_to_torch():
    images = batch(2, 3, 4, 4)
    for other in (images.half(), images.double(), images.contiguous(), images[:, :, 0]):
        assert normalized_by_batch(other, **arguments(3)) is None
