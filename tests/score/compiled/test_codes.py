import math

import numpy as np
import pytest
import torch

from naswot_lightning.score.compiled.codes import hamming_distances, product_distances
from tests.brute_force import brute_force_kernel


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(5, 3), (7, 64), (6, 130), (9, 4, 5, 7), (2, 1)])
def test_packed_codes_equal_products_and_brute_force(dtype, shape):
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(shape, generator=generator).to(dtype)
    values[values.abs() < 0.2] = 0.0
    values.view(-1)[0] = -0.0
    values.view(-1)[-1] = math.inf
    packed, nan = hamming_distances(values)
    product, product_nan = product_distances(values.flatten(1))
    expected = np.prod(shape[1:]) - brute_force_kernel([values.double().numpy()])
    np.testing.assert_array_equal(packed.numpy(), expected)
    np.testing.assert_array_equal(product.numpy(), expected)
    assert not nan
    assert not product_nan
    values.view(-1)[len(values.view(-1)) // 2] = math.nan
    assert hamming_distances(values)[1]
    assert product_distances(values.flatten(1))[1]


def test_codes_do_not_depend_on_memory_format():
    values = torch.randn(6, 8, 5, 5)
    expected = hamming_distances(values)[0]
    assert hamming_distances(values.to(memory_format=torch.channels_last))[0].equal(expected)
    assert hamming_distances(values.transpose(2, 3))[0].equal(expected)
    assert hamming_distances(torch.randn(12, 8, 5, 5)[::2])[0].shape == (6, 6)
    wide = torch.randn(6, 16, 5, 5)
    assert hamming_distances(wide[:, :8])[0].equal(hamming_distances(wide[:, :8].contiguous())[0])


def test_products_are_exact_beyond_one_chunk():
    values = torch.randn(3, 150_000)
    assert product_distances(values)[0].equal(hamming_distances(values)[0])


class Labelled(torch.Tensor):
    """A tensor of a type of its own."""


@pytest.mark.parametrize(
    "of",
    [
        lambda values: values.as_subclass(Labelled),
        lambda values: values.clone().requires_grad_(),
        lambda values: torch.complex(values, -values).conj().imag,  # stored with the other sign
    ],
)
def test_codes_are_of_the_values_not_of_the_memory(of):
    values = torch.randn(6, 70, generator=torch.Generator().manual_seed(2))
    distances, nan = hamming_distances(of(values))
    assert distances.equal(hamming_distances(values)[0])
    assert not nan
