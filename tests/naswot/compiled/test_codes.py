import math

import numpy as np
import pytest
import torch

from naswot_lightning.naswot.compiled.codes import CodeDistances, ProductDistances
from tests.brute_force import brute_force_kernel


def multiplied(values):
    """The same by a product of 0/1 codes."""
    products = ProductDistances(len(values), values.device)
    products.add(values)
    return products.result()


def packed(values):
    """Return the Hamming distances of one layer by packed codes, and whether a value is NaN."""
    codes = CodeDistances(len(values))
    codes.add(values)
    kernel = codes.kernel()
    return kernel.n_units - kernel.matrix, kernel.has_nan


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_packed_codes_equal_products_and_brute_force(dtype):
    for shape in ((5, 3), (7, 64), (6, 130), (9, 4, 5, 7), (2, 1), (3, 300_000)):
        values = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        values[values.abs() < 0.2] = 0.0
        values.view(-1)[0] = -0.0
        values.view(-1)[-1] = math.inf
        product, product_nan = multiplied(values)
        expected = np.prod(shape[1:]) - brute_force_kernel([values.double().numpy()])
        np.testing.assert_array_equal(packed(values)[0].numpy(), expected)
        np.testing.assert_array_equal(product.numpy(), expected)
        assert not packed(values)[1]
        assert not product_nan
        values.view(-1)[values.numel() // 2] = math.nan
        assert packed(values)[1]
        assert multiplied(values)[1]


class Labelled(torch.Tensor):
    """A tensor of a type of its own."""


def test_codes_are_of_the_values_not_of_the_memory():
    values = torch.randn(6, 70, generator=torch.Generator().manual_seed(2))
    for of in (
        lambda values: values.as_subclass(Labelled),
        lambda values: values.clone().requires_grad_(),
        lambda values: torch.complex(values, -values).conj().imag,  # stored with the other sign
    ):
        distances, nan = packed(of(values))
        assert distances.equal(packed(values)[0])
        assert not nan
