import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from callbacks import ScoreTrajectory
from naswot_lightning import activation_kernel, naswot_score
from naswot_lightning.score import ActivationKernel, NoRectifierError
from spaces import get_space
from tests.brute_force import brute_force_kernel
from tests.conftest import shared_path

SPACE = get_space("nasbench201")


def images_of(count=8, size=8, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def golden():
    return json.loads(shared_path("golden-nasbench201-scores.json").read_text())


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_golden_scores_of_the_published_procedure(variant):
    """12 networks; N_A and the sum of K_H exactly, the score within 0.05."""
    key = {"paper": "score_eq2", "reference": "score_reference_code"}[variant]
    for case in golden():
        torch.manual_seed(case["init_seed"])
        network = SPACE.build(case["arch"], case["num_classes"])
        generator = torch.Generator().manual_seed(case["input_seed"])
        images = torch.randn(case["batch_size"], 3, 32, 32, generator=generator)
        kernel = activation_kernel(network, images, variant)
        if variant == "paper":
            assert kernel.n_units == case["rectified_units"]
            assert int(kernel.matrix.sum()) == pytest.approx(case["kernel_sum"], rel=1e-5)
        expected = -math.inf if case[key] is None else case[key]
        assert kernel.logdet() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("index", "reference_units"), [(0, 651_264), (1462, 1_798_144), (3, 77_824)])
def test_rectified_units_by_closed_form(index, reference_units):
    architecture = SPACE[index]
    convs = architecture.count("nor_conv")
    network, images = SPACE.build(architecture), images_of(2, 32)
    paper = activation_kernel(network, images)
    reference = activation_kernel(network, images, "reference")
    assert paper.n_units == 143_360 * convs + 40_960
    assert reference.n_units == 286_720 * convs + 77_824 == reference_units
    assert paper.matrix.diagonal().eq(paper.n_units).all()
    assert reference.matrix.diagonal().eq(reference.n_units).all()


def test_kernel_and_score_agree_with_brute_force():
    network = SPACE.build(SPACE[11]).train()
    layers = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(lambda _, inputs: layers.append(inputs[0].detach().clone().numpy()))
    kernel = activation_kernel(network, images_of(10, 16))
    expected = brute_force_kernel(layers)
    np.testing.assert_array_equal(kernel.matrix.numpy(), expected)
    sign, logdet = np.linalg.slogdet(expected.astype(np.float64))
    assert sign == 1
    assert kernel.logdet() == pytest.approx(logdet, abs=1e-9)
    assert kernel.logdet() == pytest.approx(np.log(np.linalg.eigvalsh(expected.astype(float))).sum(), abs=1e-9)


def test_score_ignores_the_order_of_images():
    network, images = SPACE.build(SPACE[284]), images_of(12, 16)
    order = torch.randperm(12)
    assert naswot_score(network, images[order]) == pytest.approx(naswot_score(network, images), abs=1e-2)


def test_equal_images_are_degenerate():
    network, images = SPACE.build(SPACE[11]), images_of(6, 16)
    images[4] = images[1]
    assert naswot_score(network, images) == -math.inf


def test_constant_network_is_degenerate_and_nan_is_not():
    assert naswot_score(SPACE.build("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), images_of()) == -math.inf
    network = SPACE.build(SPACE[11])
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)
    assert math.isnan(naswot_score(network, images_of()))


def test_singular_kernels_without_equal_codes_are_degenerate():
    """Codes that differ, but in fewer directions than there are images: rank at most units + 1."""
    for count in (8, 64, 128):
        units = math.ceil(math.log2(count))
        codes = np.array([[(i >> u) & 1 for u in range(units)] for i in range(count)])
        matrix = brute_force_kernel([codes * 2 - 1])
        assert ActivationKernel(torch.from_numpy(matrix), units).logdet() == -math.inf


def test_a_badly_conditioned_kernel_that_is_regular_has_a_score():
    """Two images that differ in one unit of 1.8 million."""
    units = 1_800_000
    matrix = torch.tensor([[units, units - 1], [units - 1, units]])
    assert ActivationKernel(matrix, units).logdet() == pytest.approx(math.log(2 * units - 1), abs=1e-6)


def test_no_rectifier_is_an_error_that_says_so():
    with pytest.raises(NoRectifierError, match="called no rectified linear unit"):
        naswot_score(nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.GELU()), images_of())


def test_images_that_are_too_few_or_no_tensor_are_an_error():
    for images in (images_of(1), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="at least 2 images"):
            naswot_score(nn.ReLU(), images)
    for images in ((images_of(), images_of()), list(images_of()), images_of().numpy(), None):
        for give in (lambda x: naswot_score(nn.ReLU(), x), ScoreTrajectory):
            with pytest.raises(TypeError, match=f"^images of type {type(images).__name__}: expected one tensor"):
                give(images)


def test_unknown_variant_and_precision():
    with pytest.raises(ValueError, match="expected one of paper, reference"):
        naswot_score(SPACE.build(SPACE[0]), images_of(), variant="other")
    with pytest.raises(ValueError, match="expected one of 32, bf16"):
        activation_kernel(SPACE.build(SPACE[0]), images_of(), precision="16")
    with pytest.raises(ValueError, match="batch_norm 'eval': expected one of batch, running"):
        naswot_score(nn.ReLU(), images_of(), batch_norm="eval")


def test_bf16_is_close_and_leaves_float32_alone():
    network, images = SPACE.build(SPACE[11]), images_of(16, 16)
    exact = activation_kernel(network, images)
    rough = activation_kernel(network, images, precision="bf16")
    assert rough.n_units == exact.n_units
    assert rough.logdet() == pytest.approx(exact.logdet(), rel=0.02)
    with torch.autocast("cpu", torch.bfloat16):
        assert naswot_score(network, images) == exact.logdet()
