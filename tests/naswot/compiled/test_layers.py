"""BatchNorm and average pooling of the scoring pass beside torch's own."""

import math

import pytest
import torch
import torch.nn.functional as F

from naswot_lightning.naswot.compiled.layers import average_pooled, normalized_by_batch

POOLING = (3, 1, 1, False, False)


def channels_last(*shape, dtype=torch.float32):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_pooled_number_is_torchs(dtype):
    for shape in ((5, 16, 32, 32), (3, 7, 5, 9), (2, 1, 2, 2), (4, 64, 1, 3), (2, 3, 3, 2)):
        images = channels_last(*shape, dtype=dtype)
        ours = average_pooled(images, *POOLING)
        assert ours.equal(F.avg_pool2d(images, *POOLING)), shape
        assert ours.is_contiguous(memory_format=torch.channels_last)


def test_other_poolings_and_tensors_are_left_to_torch():
    images, plain = channels_last(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    for arguments, kwargs in (
        ((2, 2), {}), ((3, 2, 1, False, False), {}), ((3, 1, 1), {}), ((3, 1, 0, False, False), {}),
        ((3, 1, 1, False, False, 5), {}), (((3, 1), 1, 1, False, False), {}),
        ((3,), {"stride": 2, "padding": 1, "count_include_pad": False}),
    ):  # fmt: skip
        assert average_pooled(images, *arguments, **kwargs) is None
    for other in (plain, images.double(), images.clone().requires_grad_()):
        assert average_pooled(other, *POOLING) is None


SHAPES = [(8, 16, 32, 32), (3, 7, 5, 9), (4, 64, 1, 3), (2, 1, 2, 2), (128, 64, 8, 8)]


def batch(*shape, mean=0.3, dtype=torch.bfloat16):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 2 + mean
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


def arguments(channels):
    generator = torch.Generator().manual_seed(1)
    weight, bias = (torch.randn(channels, generator=generator) for _ in range(2))
    return {"running_mean": None, "running_var": None, "weight": weight, "bias": bias, "training": True, "eps": 1e-5}


def normalized(images):
    """Return ours, the values in float64, torch's, and the largest weight."""
    given = arguments(images.shape[1])
    weight, bias = given["weight"], given["bias"]
    exact = F.batch_norm(images.double(), None, None, weight.double(), bias.double(), True)
    ours = normalized_by_batch(images, **given)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    return ours, exact, F.batch_norm(images, None, None, weight, bias, True), float(weight.abs().max())


@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_values_are_those_of_float32_rounded_once(shape):
    for mean in (0.0, 0.3, -20.0):
        ours, exact, torchs, weight = normalized(batch(*shape, mean=mean))
        # half a unit in the last place of 8 bits, and what float32 loses where mean and deviation differ much
        assert ((ours.double() - exact).abs() <= exact.abs() * 2.0**-8 + 1e-3 * max(abs(mean), 1.0) * weight).all()
        assert (ours == torchs).double().mean() > 0.97


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_values_are_exact_to_rounding(shape):
    for mean in (0.0, 0.3, -20.0, 1000.0):
        ours, exact, torchs, weight = normalized(batch(*shape, mean=mean, dtype=torch.float32))
        # what rounding leaves of x * scale + shift where the mean is many deviations away
        assert (ours - exact).abs().max() <= 1e-6 * weight * max(abs(mean), 5.0)
        if mean == 0.3 and shape == SHAPES[0]:
            assert (ours - exact).abs().max() < (torchs - exact).abs().max()


def test_a_constant_channel_is_its_bias_and_nan_stays():
    images, given = batch(4, 3, 2, 2), arguments(3)
    images[:, 1] = 5.0
    ours = normalized_by_batch(images, **given)
    assert ours[:, 1].float().sub(given["bias"][1]).abs().max() < 0.02
    images[0, 0, 0, 0] = math.nan
    assert normalized_by_batch(images, **given)[:, 0].isnan().all()


def test_other_normalisations_and_tensors_are_left_to_torch():
    images, own = batch(2, 3, 4, 4), {"running_mean": torch.zeros(3), "running_var": torch.ones(3)}
    for change in ({"training": False}, own, {"weight": None}, {"bias": None}):
        assert normalized_by_batch(images, **{**arguments(3), **change}) is None
    for other in (images.half(), images.double(), images.contiguous(), images[:, :, 0]):
        assert normalized_by_batch(other, **arguments(3)) is None
