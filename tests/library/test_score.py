import json
import math
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18

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


class EveryWayToRectify(nn.Module):
    """Each ReLU by another route; ``calls`` of them see 3 * 8 * 8 units each."""

    calls = 15

    def __init__(self):
        super().__init__()
        self.module, self.in_place, self.prelu = nn.ReLU(), nn.ReLU(inplace=True), nn.PReLU()
        self.six, self.leaky = nn.ReLU6(), nn.LeakyReLU(0.1, inplace=True)
        self.threshold = nn.Threshold(0.0, 0.0)

    def forward(self, x):
        def shifted(amount):
            return x - amount

        self.module(shifted(0.1))
        self.in_place(shifted(0.2))
        F.relu(shifted(0.3))
        F.relu(shifted(0.4), inplace=True)
        torch.relu(shifted(0.5))
        torch.relu_(shifted(0.6))
        shifted(0.7).relu()
        shifted(0.8).relu_()
        shifted(0.9).clamp(min=0)
        torch.clamp_min(shifted(1.0), 0.0)
        self.six(shifted(1.1))
        self.leaky(shifted(1.2))
        self.prelu(shifted(1.3))
        self.threshold(shifted(1.4))
        F.hardtanh(shifted(1.5), 0.0, 6.0)
        F.hardtanh(shifted(1.6)).clamp(min=0.5)  # neither bends at zero
        F.gelu(x)
        torch.sigmoid(x)
        return x.mean((1, 2, 3))[:, None]


def test_rectifiers_are_seen_by_every_route_exactly_once():
    network, images = EveryWayToRectify(), images_of()
    kernel = activation_kernel(network, images)
    assert kernel.n_units == network.calls * 3 * 8 * 8
    layers = [(images - 0.1 * step).numpy() for step in range(1, 16)]
    np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel(layers))


class SharedInput(nn.Module):
    """One tensor feeds several rectifiers; then it is changed in place and rectified again."""

    def forward(self, x):
        y = x - 0.2
        F.relu(y), F.relu(y), torch.relu(y)
        y += 0.7
        F.relu(y)
        view = y[:, :1]
        view -= 1.5
        F.relu(y)
        y.mul_(-1)
        F.relu(y, inplace=True)
        return F.relu(y)


def test_a_tensor_that_feeds_several_rectifiers_counts_as_often_and_is_seen_to_change():
    images = images_of()
    first, second = images - 0.2, images - 0.2 + 0.7
    third = second.clone()
    third[:, :1] -= 1.5
    layers = [first, first, first, second, third, -third, F.relu(-third)]
    kernel = activation_kernel(SharedInput(), images)
    np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel([t.numpy() for t in layers]))


def test_resnet18_of_torchvision():
    """The stem's rectifier, and two in each of its eight blocks, all from in-place modules used twice."""
    network, images = resnet18(), images_of(4, 32)
    kernel = activation_kernel(network, images)
    stages = 2 * 2 * (64 * 8 * 8 + 128 * 4 * 4 + 256 * 2 * 2 + 512)
    assert kernel.n_units == 64 * 16 * 16 + stages
    assert activation_kernel(network, images, "reference").n_units == kernel.n_units
    assert math.isfinite(kernel.logdet())


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


@pytest.mark.parametrize("count", [8, 64, 128])
def test_singular_kernels_without_equal_codes_are_degenerate(count):
    """Codes that differ, but in fewer directions than there are images: rank at most units + 1."""
    units = math.ceil(math.log2(count))
    codes = np.array([[(i >> u) & 1 for u in range(units)] for i in range(count)])
    matrix = brute_force_kernel([codes * 2 - 1])
    kernel = ActivationKernel(torch.from_numpy(matrix), units)
    assert kernel.logdet() == -math.inf


def test_a_badly_conditioned_kernel_that_is_regular_has_a_score():
    """Two images that differ in one unit of 1.8 million."""
    units = 1_800_000
    matrix = torch.tensor([[units, units - 1], [units - 1, units]])
    assert ActivationKernel(matrix, units).logdet() == pytest.approx(math.log(2 * units - 1), abs=1e-6)


def test_no_rectifier_is_an_error_that_says_so():
    with pytest.raises(NoRectifierError, match="called no rectified linear unit"):
        naswot_score(nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.GELU()), images_of())


@pytest.mark.parametrize(
    ("images", "message"), [(images_of(1), "at least 2 images"), (torch.tensor(1.0), "at least 2")]
)
def test_too_few_images(images, message):
    with pytest.raises(ValueError, match=message):
        naswot_score(SPACE.build(SPACE[0]), images)


def test_unknown_variant_and_precision():
    with pytest.raises(ValueError, match="expected one of paper, reference"):
        naswot_score(SPACE.build(SPACE[0]), images_of(), variant="other")
    with pytest.raises(ValueError, match="expected one of 32, bf16"):
        activation_kernel(SPACE.build(SPACE[0]), images_of(), precision="16")


class Remembers(nn.Module):
    """Keeps what its network returned while it was scored."""

    def __init__(self, network):
        super().__init__()
        self.network, self.outputs = network, []

    def forward(self, x):
        self.outputs.append(self.network(x).clone())
        return self.outputs[-1]


class FoldedReLU(nn.Module):
    def forward(self, x):
        wide = F.relu(x.contiguous(memory_format=torch.channels_last)).reshape(len(x) * 4, -1)
        folded = x.reshape(len(x) * 2, 3, 4, 8).contiguous(memory_format=torch.channels_last)
        return torch.cat([F.relu(wide - 0.1).reshape(len(x), -1), F.relu(folded).reshape(len(x), -1)], 1)


def recorded(network, images):
    """Return what a network gives while it is scored, and on its own in the same mode."""
    remembers = Remembers(network.train())
    activation_kernel(remembers, images)
    with torch.no_grad():
        return remembers.outputs[0], network(images)


@pytest.mark.parametrize("name", ["cell with poolings", "every way", "shared input", "folded"])
def test_the_recorded_forward_pass_computes_what_the_plain_one_does(name):
    """Rectified while packing, pooled by another loop: every number is that of the plain pass."""
    network = {
        "cell with poolings": nn.Sequential(*SPACE.build(SPACE[0]).cells[0].edges), "every way": EveryWayToRectify(),
        "shared input": SharedInput(), "folded": FoldedReLU(),
    }[name]  # fmt: skip
    for module in network.modules():
        if hasattr(module, "weight") and isinstance(module, nn.BatchNorm2d):
            module.weight = None  # an affine BatchNorm has sums of our own
    images = images_of(8, 8).contiguous(memory_format=torch.channels_last)
    if name == "cell with poolings":
        images = torch.cat([images] * 6, dim=1)[:, :16].contiguous(memory_format=torch.channels_last)
    ours, plain = recorded(network, images)
    assert ours.equal(plain)


@pytest.mark.parametrize("name", ["nasbench201", "resnet18"])
def test_the_recorded_forward_pass_is_as_near_to_float64_as_the_plain_one(name):
    network = SPACE.build(SPACE[0]) if name == "nasbench201" else resnet18()
    images = images_of(8, 32).contiguous(memory_format=torch.channels_last)
    ours, plain = recorded(network, images)
    with torch.no_grad():
        exact = network.double()(images.double())
    assert (ours - exact).abs().max() <= 1.2 * (plain - exact).abs().max()
    assert (ours - exact).abs().max() <= 1e-4


def test_images_folded_into_the_batch_dimension():
    class Folded(nn.Module):
        def forward(self, x):
            patches = x.reshape(len(x) * 4, -1)
            return F.relu(patches).reshape(len(x), -1)

    images = images_of()
    np.testing.assert_array_equal(
        activation_kernel(Folded(), images).matrix.numpy(), brute_force_kernel([images.numpy()])
    )


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


@pytest.mark.parametrize("variant", ["paper", "reference"])
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was_found(training, variant):
    network = nn.Sequential(Untidy(), nn.ReLU(), nn.Linear(4, 2)).train(training)
    network[0].drop.train(not training)
    network[0].conv.weight.grad = torch.ones_like(network[0].conv.weight)
    calls = []
    network[0].conv.register_forward_hook(lambda *_: calls.append(1))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    identities = {k: id(v) for k, v in network.named_buffers()}
    flags = [m.training for m in network.modules()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    first = naswot_score(network, images_of(), variant=variant)
    assert states[0].equal(torch.get_rng_state())
    assert states[1] == random.getstate()
    assert states[2] == np.random.get_state()[1].tolist()
    assert [m.training for m in network.modules()] == flags
    assert {k: id(v) for k, v in network.named_buffers()} == identities
    assert all(v.equal(before[k]) for k, v in network.state_dict().items())
    assert network[0].conv.weight.grad.eq(1).all()
    assert len(network[0].conv._forward_hooks) == 1
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network if isinstance(m, nn.ReLU))
    assert naswot_score(network, images_of(), variant=variant) == first
    network(images_of()).sum().backward()


def test_a_failing_forward_is_not_swallowed_and_restores_the_network():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x):
            F.relu(self.norm(x))
            raise RuntimeError("shape mismatch")

    network = Fails()
    with pytest.raises(RuntimeError, match="shape mismatch"):
        naswot_score(network, images_of())
    assert network.norm.training
    assert network.norm.running_mean is not None


def test_reference_counts_only_modules_connected_to_the_output():
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


def test_reference_counts_what_feeds_only_zero_edges():
    """`none` multiplies by 0, so the (zero) gradient still marks what feeds it."""
    dead = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|skip_connect~2|"
    kernel = activation_kernel(SPACE.build(dead), images_of(2, 32), "reference")
    assert kernel.n_units == 286_720 + 77_824


def test_bf16_is_close_and_leaves_float32_alone():
    network, images = SPACE.build(SPACE[11]), images_of(16, 16)
    exact = activation_kernel(network, images)
    rough = activation_kernel(network, images, precision="bf16")
    assert rough.n_units == exact.n_units
    assert rough.logdet() == pytest.approx(exact.logdet(), rel=0.02)
    with torch.autocast("cpu", torch.bfloat16):
        assert naswot_score(network, images) == exact.logdet()


def test_scoring_leaves_the_number_of_threads_alone():
    """In a process of its own, since threads start with the first score."""
    code = """
import torch
from spaces import get_space
from naswot_lightning import naswot_score
space = get_space("nasbench201")
network, images = space.build(space[284]), torch.randn(4, 3, 8, 8)
before = torch.get_num_threads()
naswot_score(network, images)
print(before, torch.get_num_threads())
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("inplace", [False, True])
def test_rectified_values_are_torchs(count, inplace):
    """In one pass with the codes, where nothing else will do, and in place without a copy."""
    images = torch.randn(6, 4, 9, 7, generator=torch.Generator().manual_seed(3))
    seen = []

    class Network(nn.Module):
        def forward(self, x):
            for _ in range(count):
                x = x - 0.1
                y = torch.relu_(x) if inplace else F.relu(x)
                seen.append((x.data_ptr() == y.data_ptr(), y.clone()))
                x = y
            return x

    kernel = activation_kernel(Network(), images)
    expected, layers = images, []
    for _, values in seen:
        layers.append((expected - 0.1).numpy())
        expected = torch.from_numpy(layers[-1]).relu()
        assert values.equal(expected)
    assert [same for same, _ in seen] == [inplace] * count
    np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel(layers))
    assert images.equal(torch.randn(6, 4, 9, 7, generator=torch.Generator().manual_seed(3)))


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
    assert activation_kernel(network, plain).matrix.equal(activation_kernel(network, other).matrix)
    assert formats == [True, True]


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
        calls = 0

        def forward(self, images):
            self.calls += 1
            raise RuntimeError("out of luck")

    network = Failing()
    with pytest.raises(RuntimeError, match="out of luck"):
        naswot_score(network, images_of(4, 8))
    assert network.calls == 1
