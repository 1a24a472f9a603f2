"""The kernel and its log-determinant: by other means, by closed form, and by each mode of BatchNorm."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning import activation_kernel, naswot_score
from naswot_lightning.callbacks import ScoreTrajectory
from naswot_lightning.naswot import ActivationKernel, NoRectifierError
from naswot_lightning.spaces import get_space
from tests.brute_force import brute_force_kernel, images_of
from tests.conftest import shared_path

SPACE = get_space("nasbench201")


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_golden_scores_of_the_published_procedure(variant):
    """12 networks; N_A and the sum of K_H exactly, the score within 0.05."""
    key = {"paper": "score_eq2", "reference": "score_reference_code"}[variant]
    for case in json.loads(shared_path("golden-nasbench201-scores.json").read_text()):
        torch.manual_seed(case["init_seed"])
        network = SPACE.build(case["arch"], case["num_classes"])
        images = images_of(case["batch_size"], 32, case["input_seed"])
        kernel = activation_kernel(network, images, variant)
        if variant == "paper":
            assert kernel.n_units == case["rectified_units"]
            assert int(kernel.matrix.sum()) == pytest.approx(case["kernel_sum"], rel=1e-5)
        expected = -math.inf if case[key] is None else case[key]
        assert kernel.logdet() == pytest.approx(expected, abs=0.05)


def test_rectified_units_by_closed_form():
    for index, reference_units in ((0, 651_264), (1462, 1_798_144), (3, 77_824)):
        network, images = SPACE.build(SPACE[index]), images_of(2, 32)
        convs = SPACE[index].count("nor_conv")
        paper, reference = (activation_kernel(network, images, variant) for variant in ("paper", "reference"))
        assert paper.n_units == 143_360 * convs + 40_960
        assert reference.n_units == 286_720 * convs + 77_824 == reference_units
        assert all(kernel.matrix.diagonal().eq(kernel.n_units).all() for kernel in (paper, reference))


def test_the_reference_counts_only_modules_connected_to_the_output():
    class Unconnected(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused, self.cut = nn.ReLU(), nn.ReLU(), nn.ReLU()
            self.linear = nn.Linear(192, 192)

        def forward(self, x):
            y = self.linear(x.flatten(1))
            self.unused(y)
            return self.used(y) + self.cut(y).detach() + F.relu(y)

    network, images = Unconnected(), images_of()
    assert activation_kernel(network, images, "reference").n_units == 192
    assert activation_kernel(network, images).n_units == 4 * 192
    # `none` multiplies by 0, so the (zero) gradient still marks what feeds it.
    dead = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|skip_connect~2|"
    assert activation_kernel(SPACE.build(dead), images_of(2, 32), "reference").n_units == 286_720 + 77_824


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


def test_degenerate_networks_and_nan():
    network, images = SPACE.build(SPACE[11]), images_of(6, 16)
    images[4] = images[1]
    assert naswot_score(network, images) == -math.inf
    assert naswot_score(SPACE.build("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), images_of()) == -math.inf
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)
    assert math.isnan(naswot_score(network, images_of()))
    with pytest.raises(NoRectifierError, match="called no rectified linear unit"):
        naswot_score(nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.GELU()), images_of())


def test_singular_and_badly_conditioned_kernels():
    """Codes that differ, but in fewer directions than there are images: rank at most units + 1."""
    for count in (8, 64, 128):
        units = math.ceil(math.log2(count))
        codes = np.array([[(i >> u) & 1 for u in range(units)] for i in range(count)])
        matrix = brute_force_kernel([codes * 2 - 1])
        assert ActivationKernel(torch.from_numpy(matrix), units).logdet() == -math.inf
    # Two images that differ in one unit of 1.8 million.
    units = 1_800_000
    matrix = torch.tensor([[units, units - 1], [units - 1, units]])
    assert ActivationKernel(matrix, units).logdet() == pytest.approx(math.log(2 * units - 1), abs=1e-6)


def test_invalid_arguments_are_named():
    for images in (images_of(1), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="at least 2 images"):
            naswot_score(nn.ReLU(), images)
    for images in ((images_of(), images_of()), images_of().numpy(), None):
        for give in (lambda x: naswot_score(nn.ReLU(), x), ScoreTrajectory):
            with pytest.raises(TypeError, match=f"^images of type {type(images).__name__}: expected one tensor"):
                give(images)
    for wrong, expected in (
        ({"variant": "other"}, "paper, reference"), ({"precision": "16"}, "32, bf16"),
        ({"batch_norm": "eval"}, "batch, running"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"expected one of {expected}"):
            activation_kernel(nn.ReLU(), images_of(), **wrong)


def test_bf16_is_close_and_leaves_float32_alone():
    network, images = SPACE.build(SPACE[11]), images_of(16, 16)
    exact, rough = activation_kernel(network, images), activation_kernel(network, images, precision="bf16")
    assert rough.n_units == exact.n_units
    assert rough.logdet() == pytest.approx(exact.logdet(), rel=0.02)
    with torch.autocast("cpu", torch.bfloat16):
        assert naswot_score(network, images) == exact.logdet()


def small():
    """Both norms that keep statistics, one that keeps none, dropout; ReLUs that are not in place."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
        nn.Conv2d(6, 6, 3), nn.InstanceNorm2d(6, track_running_stats=True), nn.ReLU(),
        nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2),
    )  # fmt: skip


def kernel_in_evaluation(network, images):
    """K_H of a network in eval mode, from plain hooks on its modules."""
    layers = []
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: layers.append(inputs[0].clone().numpy()))
        for module in network.modules()
        if isinstance(module, nn.ReLU)
    ]
    with torch.no_grad():
        network.eval()(images)
    for hook in hooks:
        hook.remove()
    return brute_force_kernel(layers)


@pytest.mark.parametrize("make", [small, lambda: SPACE.build(SPACE[11])])
def test_running_statistics_are_those_of_a_network_in_eval_mode(make):
    network, images = make().train(), images_of()
    before = naswot_score(network, images)
    # Statistics that are neither those of a new network nor those of the probe.
    with torch.no_grad():
        for step in range(3):
            network(1.0 + 2.0 * images_of(seed=100 + step))
    expected = kernel_in_evaluation(network, images)
    for training in (True, False):
        kernel = activation_kernel(network.train(training), images, batch_norm="running")
        assert kernel.matrix.tolist() == expected.tolist()
        score = naswot_score(network, images, batch_norm="running")
        assert score == kernel.logdet() != naswot_score(network, images) == before
