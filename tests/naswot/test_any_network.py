"""Whatever a module does in its forward pass, its score is right or refused, and it is left as it was found."""

import concurrent.futures
import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.prune import random_unstructured
from torchvision.models import regnet_y_400mf

from naswot_lightning import activation_kernel, naswot_score
from naswot_lightning.data.probe import load_probe
from naswot_lightning.naswot.isolation import UnseenCallError
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.scores.registry import REGISTERED, compute_scores
from naswot_lightning.spaces.base import NamedNetworks
from tests.brute_force import brute_force_kernel, images_of


def units(network, images=None):
    return activation_kernel(network, images_of() if images is None else images).n_units


class Calls(nn.Module):
    """A network that is what a function says, with a convolution of 4 channels before it: 144 units of 8x8 images."""

    def __init__(self, then=lambda module, x: F.relu(x)):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.weight = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Parameter(torch.randn(8, 2))
        self.fc, self.then = nn.Linear(4, 10), then

    def forward(self, x):
        return self.fc(self.then(self, self.norm(self.conv(x))).mean((2, 3)))


def evaluated(scores=("naswot",), images=8, **builders):
    space = NamedNetworks({name: lambda classes, make=make: make() for name, make in builders.items()}, "own")
    space.channels_last = True  # the default of a class of one's own
    evaluator = ScoreEvaluator(space, [load_probe("noise", "", images, 0)], scores)
    return {name: evaluator(name) for name in builders}


def looks_at_values(module, x):
    return F.relu(x * (2 if x.sum() > 1e9 else torch.linspace(0, 1, 2)[1].item()))


def test_networks_that_the_meta_device_cannot_build_or_run_are_scored_and_counted():
    found = evaluated(regnet=lambda: regnet_y_400mf(num_classes=10), looks=lambda: Calls(looks_at_values))
    assert [(each.status, each.reason) for each in found.values()] == [("ok", None)] * 2
    assert (found["regnet"].params, found["looks"].params) == (3_907_554, 186)


class SharedModules(nn.Module):
    """As many tutorials write it: every layer has two names, and two layers one weight."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.conv2, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.features = nn.Sequential(self.conv1, self.norm, nn.ReLU(), self.conv2, nn.ReLU())
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        x = self.features(x) + F.relu(self.conv2(F.relu(self.norm(self.conv1(x)))))
        return self.head(F.relu(self.b(F.relu(self.a(x.mean((2, 3)))))))


def test_every_score_of_modules_with_two_names_is_that_of_the_score_alone():
    network, probe = SharedModules(), load_probe("noise", "", 16, 0)
    parameters = [(name, id(p), p.clone()) for name, p in network.named_parameters(remove_duplicate=False)]
    together = compute_scores(network, probe, list(REGISTERED))
    assert together == {name: compute_scores(SharedModules(), probe, [name])[name] for name in REGISTERED}
    now = dict(network.named_parameters(remove_duplicate=False))
    assert all(id(now[name]) == own and now[name].equal(before) for name, own, before in parameters)
    assert list(now) == [name for name, *_ in parameters]


@pytest.mark.parametrize(("channels", "passes"), [(6, 1), (8, 3)])
def test_a_global_mean_keeps_the_images_outermost_where_its_shape_says_so(channels, passes):
    """Of 8 images and 8 channels the shape does not, and a second mini-batch has to."""
    calls = []

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.linear = nn.Conv2d(3, channels, 3), nn.Linear(channels, 5)

        def forward(self, x):
            calls.append(len(x))
            return F.relu(self.linear(self.conv(x).mean((2, 3))))

    network, images = Pooled(), images_of(8)
    kernel = activation_kernel(network, images)
    assert len(calls) == passes
    with torch.no_grad():
        codes = network.linear(network.conv(images).mean((2, 3)))
    np.testing.assert_array_equal(kernel.matrix.numpy(), brute_force_kernel([codes.numpy()]))


class KeepsWhatItMade(Calls):
    """A table and a mask of the first mini-batch's size, made in the first forward pass."""

    table = None

    def forward(self, x):
        if self.table is None:
            self.table, self.mask = torch.arange(8.0), torch.ones(len(x), 1, 1, 1)
        return super().forward(x * self.mask + self.table)


def pruned():
    network = Calls()
    random_unstructured(network.conv, "weight", 0.3)
    return network


def weight_normed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def lazy():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))


def test_a_network_trains_after_it_was_scored():
    for make in (Calls, SharedModules, KeepsWhatItMade, pruned, weight_normed, lazy):
        for ambient in (torch.enable_grad, torch.inference_mode):
            network = make()
            with ambient():
                assert math.isfinite(naswot_score(network, images_of()))
            for _ in range(2):
                network.train()(images_of(count=6)).sum().backward()
            assert all(parameter.grad is not None for name, parameter in network.named_parameters() if "conv" in name)
            assert math.isfinite(naswot_score(network, images_of(count=6)))


class OwnNorm(nn.BatchNorm2d):
    """Reads its statistics itself, as slimmable networks do."""

    def forward(self, x):
        width = x.shape[1]
        arguments = self.running_mean[:width], self.running_var[:width], self.weight[:width], self.bias[:width]
        return F.batch_norm(x, *arguments, self.training)


def with_norm(kind=nn.BatchNorm2d, change=lambda norm: norm):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 4, 3), kind(4)
    norm.running_mean.fill_(3.0)
    return nn.Sequential(conv, change(norm), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def test_batch_statistics_are_chosen_whoever_calls_the_norm_and_buffers_stay():
    expected = naswot_score(with_norm(), images_of())
    exported = torch.export.export(with_norm().eval(), (images_of(),)).module()
    for network in (with_norm(OwnNorm), with_norm(nn.SyncBatchNorm), exported):
        before = {name: buffer.clone() for name, buffer in network.named_buffers()}
        assert naswot_score(network, images_of()) == pytest.approx(expected)
        assert all(buffer.equal(before[name]) for name, buffer in network.named_buffers())


def test_a_network_of_several_processes_is_scored_in_one(tmp_path):
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(with_norm())
        assert naswot_score(wrapped, images_of()) == naswot_score(with_norm(), images_of())
    finally:
        torch.distributed.destroy_process_group()


class SequenceFirst(nn.Module):
    """(tokens, images, channels), as nn.Transformer has it by default."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens, self.fc = tokens, nn.Linear(192 // tokens, 6)

    def pre_activations(self, x):
        return self.fc(x.reshape(len(x), self.tokens, -1).transpose(0, 1))

    def forward(self, x):
        return F.relu(self.pre_activations(x)).mean(0)


class Crops(nn.Module):
    """Two crops of each image, all first ones and then all second ones."""

    def forward(self, x):
        return F.relu(torch.cat([x, -x])).reshape(2, len(x), -1).mean(0)


class Halves(nn.Module):
    """A gated unit behind a transpose that leaves the images where they are."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.passes = layer, []

    def forward(self, x):
        self.passes.append(len(x))
        gate, values = self.layer(x).transpose(1, 2)[..., 1:].chunk(2, 2)
        return F.relu(gate) * values


def test_the_dimension_of_the_images_is_found():
    images = images_of()
    cases = [(Crops(), [images.numpy(), -images.numpy()])]
    for tokens in (8, 16, 4):  # of 8 images: as many, a multiple, half
        network = SequenceFirst(tokens)
        cases.append((network, [network.pre_activations(images).detach().transpose(0, 1).numpy()]))
    for network, layers in cases:
        expected = brute_force_kernel(layers)
        np.testing.assert_array_equal(activation_kernel(network, images).matrix.numpy(), expected)


def test_a_buffer_that_grows_is_as_short_as_before():
    network = Calls(lambda module, x: F.relu(x) + module.seen.resize_(4).fill_(1)[0])
    network.register_buffer("seen", torch.zeros(0))
    assert (units(network), len(network.seen)) == (144, 0)


def test_images_stay_outermost_in_views_of_them():
    images, network = images_of(), nn.Linear(8, 16)
    halves = network(images).detach().transpose(1, 2)[..., 1:].chunk(2, 2)
    followed = Halves(network)
    found = activation_kernel(followed, images).matrix.numpy()
    np.testing.assert_array_equal(found, brute_force_kernel([halves[0].numpy()]))
    assert followed.passes == [8]


def test_what_does_not_depend_on_the_images_is_no_unit_of_theirs():
    assert units(Calls(lambda module, x: F.relu(x + F.relu(module.weight).sum()))) == 144
    assert units(Calls(lambda module, x: F.relu(x) + x.int().clamp(min=0))) == 144
    assert units(Calls(lambda module, x: F.relu(x).mean(0, keepdim=True).relu().expand_as(x))) == 144
    with pytest.raises(ValueError, match="which dimension holds the images cannot be told"):
        units(Calls(lambda module, x: x * F.relu(x.flatten(1) @ x.flatten(1).T).mean()))


@torch.jit.script
def scripted_relu(x):
    return torch.relu(x)


def in_a_thread(module, x):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(module.relu, x).result() + F.relu(x)


def test_calls_that_cannot_be_seen_are_an_error_and_the_network_is_restored():
    threaded = Calls(in_a_thread)
    threaded.relu = nn.ReLU()
    for network, what in (
        (threaded, "runs ReLU in another thread"),
        (Calls(lambda module, x: F.relu(scripted_relu(x))), "relu in TorchScript"),
        (with_norm(change=torch.jit.script), "batch_norm in TorchScript"),
        (torch.jit.script(with_norm()), "in TorchScript"),
        (torch.jit.trace(with_norm(), images_of()), "in TorchScript"),
        (nn.Sequential(nn.Flatten(2), nn.RNN(64, 8, nonlinearity="relu", batch_first=True)), "calls rnn_relu, where"),
        (Calls(lambda module, x: F.relu(torch.vmap(F.relu)(x))), "within torch.vmap"),
        (Calls(lambda module, x: torch._foreach_clamp_min([F.relu(x)], 0)[0]), "calls _foreach_clamp_min, where"),
    ):
        network.train()
        with pytest.raises(UnseenCallError, match=what):
            naswot_score(network, images_of())
        assert all(module.training for module in network.modules())
    assert scripted_relu(torch.tensor([-1.0, 1.0])).tolist() == [0.0, 1.0]
    (found,) = evaluated(("params", "grad_norm"), own=lambda: torch.jit.script(with_norm())).values()
    assert (found.macs, found.scores["grad_norm"]) == (None, None)
    assert "its size cannot be counted: ValueError: calls of TorchScript" in found.reason


def test_the_original_of_what_is_compiled_is_scored():
    expected = naswot_score(with_norm(), images_of())
    inside, itself = with_norm(), with_norm()
    inside[2] = torch.compile(inside[2], backend="eager")
    itself.compile(backend="eager")
    for network in (inside, itself, torch.compile(with_norm(), backend="eager")):
        assert naswot_score(network, images_of()) == expected
        network(images_of())
        assert math.isfinite(naswot_score(network, images_of()))


def filled_with_zeros(x):
    x[x < 0] = 0
    return x


def test_spellings_of_a_rectifier():
    zero = torch.zeros(())
    for spelling in (
        lambda x: torch.threshold(x, 0.0, 0.0), lambda x: torch.rrelu(x), lambda x: torch.clip_(x, 0),
        lambda x: x.clamp(min=np.float32(0)), lambda x: torch.clamp(x, min=zero), lambda x: x.clamp(zero, zero + 6),
        lambda x: torch.ops.aten.relu.default(x), lambda x: torch.ops.aten.clamp_min(x, 0),
        lambda x: torch.maximum(x, zero), lambda x: torch.max(torch.zeros_like(x), other=x),
        lambda x: torch.fmax(x, zero), lambda x: torch.where(x > 0, x, 0), lambda x: torch.where(x < 0, zero, x),
        lambda x: x * (x > 0), lambda x: (x > 0).float() * x, lambda x: x.masked_fill_(x < 0, 0),
        lambda x: torch.ops.aten.mul.Tensor(x, x > 0), filled_with_zeros,
    ):  # fmt: skip
        assert units(Calls(lambda module, x, spelling=spelling: F.relu(spelling(x.clone())))) == 288
    for other in (
        lambda x: x.clamp(min=torch.tensor(0.5)), lambda x: torch.max(x, -x), lambda x: x.max(1, True)[0],
        lambda x: torch.where(x > 0.5, x, 0), lambda x: x * torch.ones_like(x), lambda x: x * torch.sigmoid(x),
    ):  # fmt: skip
        assert units(Calls(lambda module, x, other=other: other(F.relu(x)).expand_as(x))) == 144


def test_a_network_that_views_its_feature_maps_has_every_score():
    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2, self.fc = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(400, 10)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            return self.fc(F.max_pool2d(F.relu(self.conv2(x)), 2).view(-1, 400))

    network = LeNet().to(memory_format=torch.channels_last)
    assert math.isfinite(naswot_score(network, torch.randn(4, 3, 32, 32)))
    assert network.conv2.weight.is_contiguous(memory_format=torch.channels_last)
    (found,) = evaluated(("naswot", "log_width", "conv_depth", "macs", "zico"), own=LeNet).values()
    assert (found.status, found.reason) == ("ok", None)
    assert found.scores["log_width"] == pytest.approx(math.log(6) + math.log(16))


def test_mostly_smooth_networks_are_scored_with_a_word():
    network = Calls(lambda module, x: F.silu(x) * F.relu(x.mean((2, 3), keepdim=True)))
    with pytest.warns(UserWarning, match=r"the codes see 4 of 148 units \(2.7%\)"):
        naswot_score(network, images_of(4))
    by_hand = Calls(lambda module, x: x * torch.sigmoid(x) * F.relu(x.mean((2, 3), keepdim=True)))
    for kind in ("rectifiers", "all"):
        with pytest.warns(UserWarning, match="the codes see 4 of 3,604 units"):
            compute_scores(by_hand, load_probe("noise", "", 4, 0), ["params", "swap"], kind)
    (found,) = evaluated(own=lambda: Calls(lambda module, x: F.silu(x) * F.relu(x[:, :1]))).values()
    assert (found.status, "smooth" in found.reason) == ("ok", True)


class Meddles(Calls):
    """Changes what is everybody's: the default type, a function, hooks of all modules, the generators."""

    def forward(self, x):
        torch.set_default_dtype(torch.float64)
        nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output * 0)
        F.relu = torch.sigmoid
        torch.manual_seed(0)
        return super().forward(x)


def test_a_network_that_changes_torch_or_draws_changes_no_other_score():
    def drawing():
        return Calls(lambda module, x: F.relu(x + torch.rand(1)))

    relu = F.relu
    alone = evaluated(last=drawing)["last"].scores
    assert evaluated(first=Meddles, last=drawing)["last"].scores == alone
    assert (torch.get_default_dtype(), F.relu) == (torch.float32, relu)
    alone |= evaluated(("grad_norm",), last=drawing)["last"].scores
    for names in (("naswot", "grad_norm"), ("grad_norm", "naswot")):
        assert evaluated(names, last=drawing)["last"].scores == alone
