import functools
import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning.score import NoRectifierError
from naswot_lightning.scores.base import Measured
from naswot_lightning.scores.registry import REGISTERED, compute_scores
from tests.scores.networks import GRADIENT_SCORES, LOSS_SCORES, SPACE, branches, probe_of, score

OF_RECTIFIERS = ["nwot_normalised", "swap", "relu_entropy", "relu_rank", "relu_input_rank", "relu_volume", "relu_meco"]
FORWARD_SCORES = [*OF_RECTIFIERS, "meco", "az_expressivity", "az_progressivity", "az_trainability"]
# Scores that see whether a network computes anything, and whether what it computes is a number.
SIGHTED = ["naswot", *GRADIENT_SCORES, *FORWARD_SCORES, "vkdnw"]
DISCONNECTED = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


NETWORKS = {
    "one convolution": lambda: nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten()),
    "no rectifier": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(), nn.Linear(144, 4)
    ),
    "no batch norm": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True), nn.Flatten(),
        nn.Linear(64, 4),
    ),
    "no convolution": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 4)),
    "no layer": lambda: nn.AdaptiveAvgPool3d((4, 1, 1)),  # channels, too
}  # fmt: skip


class Returning(nn.Module):
    """Returns what ``give`` makes of the images and the logits."""

    def __init__(self, network, give):
        super().__init__()
        self.network, self.give = network, give

    def forward(self, x):
        return self.give(x, self.network(x))


@pytest.mark.parametrize("name", REGISTERED)
@pytest.mark.parametrize("training", [True, False])
def test_network_probe_and_generators_are_left_as_found(name, training):
    network, probe = branches().train(training), probe_of()
    network.drop.train(not training)
    network.stem.weight.grad = torch.ones_like(network.stem.weight)
    network.left.weight.requires_grad_(False)
    network.linear.register_forward_hook(lambda *_: None)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    tensors = {key: id(value) for key, value in [*network.named_parameters(), *network.named_buffers()]}
    modules, flags = list(network.modules()), [module.training for module in network.modules()]
    images, labels = probe.images.clone(), probe.labels.clone()
    generators = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    first = score(name, network, probe)
    assert generators[0].equal(torch.get_rng_state())
    assert generators[1:] == (random.getstate(), np.random.get_state()[1].tolist())
    assert all(value.equal(state[key]) for key, value in network.state_dict().items())
    assert {k: id(v) for k, v in [*network.named_parameters(), *network.named_buffers()]} == tensors
    assert list(network.modules()) == modules
    assert [module.training for module in modules] == flags
    assert [key for key, p in network.named_parameters() if not p.requires_grad] == ["left.weight"]
    assert [key for key, p in network.named_parameters() if p.grad is not None] == ["stem.weight"]
    assert network.stem.weight.grad.eq(1).all()
    assert [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules].count(1) == 1
    assert probe.images.equal(images)
    assert not probe.images.requires_grad
    assert probe.labels.equal(labels)
    assert score(name, network, probe) == first


@pytest.mark.parametrize("name", REGISTERED)
def test_frozen_parameters_and_callers_without_gradients_change_no_score(name):
    network = branches()
    expected = score(name, network)
    with torch.no_grad():
        assert score(name, network) == expected
    with torch.inference_mode():
        assert score(name, network) == expected
    with torch.autocast("cpu", torch.bfloat16):
        assert score(name, network) == expected
    if name != "params":
        assert score(name, branches().requires_grad_(False)) == expected


@functools.cache
def twelve_networks():
    rng = random.Random(0)
    torch.manual_seed(0)
    return [SPACE.build(SPACE.sample(rng)).to(memory_format=torch.channels_last) for _ in range(12)]


@pytest.mark.parametrize("name", REGISTERED)
def test_finite_and_different_on_twelve_networks_of_nas_bench_201(name):
    probe = probe_of(count=16 if name == "swap" else 4, classes=10)  # 4 images have 16 sign patterns in all
    values = [score(name, network, probe) for network in twelve_networks()]
    assert all(math.isfinite(value) for value in values)
    # Rectified units count the convolutions, of which a cell has 0 to 6, at most 3 on a path.
    assert len(set(values)) > (2 if name == "conv_depth" else 3)


@pytest.mark.parametrize("name", [name for name in SIGHTED if name != "meco"])  # the stem's channels are independent
def test_a_disconnected_cell_is_degenerate(name):
    assert score(name, SPACE.build(DISCONNECTED, 4)) == -math.inf


@pytest.mark.parametrize("name", GRADIENT_SCORES)
def test_an_output_that_depends_on_nothing_is_degenerate(name):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            F.relu(self.conv(x))
            return x.new_zeros(len(x), 4)

    assert score(name, Constant()) == -math.inf


def test_one_image_without_gradient_is_degenerate():
    probe = probe_of()
    probe.images[2] = -9.0
    network = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(192, 4))
    assert score("jacob_cov", network, probe) == -math.inf


@pytest.mark.parametrize("name", SIGHTED)
@pytest.mark.parametrize("network", [lambda: SPACE.build(SPACE[11], 4), branches])
def test_nan_weights_give_nan(name, network):
    broken = network()
    with torch.no_grad():
        next(broken.parameters()).view(-1)[0] = math.nan
    assert math.isnan(score(name, broken))


def test_overflow_of_the_network_is_a_failure_and_not_a_good_score():
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        for layer in (network[1], network[3]):
            layer.weight.fill_(3e38)
    assert math.isnan(score("snip", network))
    assert math.isnan(score("grad_norm", network))


@pytest.mark.parametrize("name", REGISTERED)
def test_features_beside_the_logits_change_no_score(name):
    wrapped = score(name, Returning(branches(), lambda x, logits: (x.mean((2, 3)) * 1e9, {"out": logits}, None)))
    assert wrapped == score(name, branches()) or name == "random"  # names of parameters are part of its seed


@pytest.mark.parametrize("name", [*GRADIENT_SCORES, "vkdnw"])
@pytest.mark.parametrize("give", [lambda x, logits: (logits, logits + 1), lambda x, logits: logits[:, :3]])
def test_outputs_that_cannot_be_the_logits_are_an_error(name, give):
    with pytest.raises(ValueError, match=r"^the network returned .*: expected one tensor of logits \(\d+, 4\); "):
        score(name, Returning(branches(), give))


@pytest.mark.parametrize("name", GRADIENT_SCORES)
def test_a_network_that_changes_its_input_and_buffers_in_place(name):
    class Untidy(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(()))
            self.body = branches()

        def forward(self, x):
            out = self.body(x.mul_(0.5))
            self.mean += out.mean()
            return out

    class Tidy(Untidy):
        def forward(self, x):
            return self.body(x * 0.5)

    network, probe = Untidy(), probe_of()
    images = probe.images.clone()
    assert score(name, network, probe) == pytest.approx(score(name, Tidy()), rel=1e-9)
    assert probe.images.equal(images)
    assert network.mean.equal(torch.zeros(()))
    assert not network.mean.requires_grad


@pytest.mark.parametrize("name", [*LOSS_SCORES, "synflow"])
def test_a_shared_weight_counts_once(name):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(192, 192, bias=False), nn.Linear(192, 192, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(F.relu(self.first(x.flatten(1))))

    class Reused(Shared):
        def forward(self, x):
            return self.first(F.relu(self.first(x.flatten(1))))

    torch.manual_seed(0)
    shared = Shared()
    torch.manual_seed(0)
    reused = Reused()
    del reused.second
    probe = probe_of(classes=192)
    assert score(name, shared, probe) == score(name, reused, probe)


@pytest.mark.parametrize("name", [name for name in REGISTERED if name not in ("naswot", "rectified_units")])
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_without_the_usual_parts_are_scored(name, network):
    """A score is a number, or says that a rectifier is missing."""
    torch.manual_seed(0)
    if name in OF_RECTIFIERS and network not in ("no batch norm", "no convolution"):
        with pytest.raises(NoRectifierError):
            score(name, NETWORKS[network]())
    else:
        assert score(name, NETWORKS[network]()) < math.inf


@pytest.mark.parametrize("name", [name for name, score in REGISTERED.items() if not score.exact_sums])
def test_threads_change_no_score(name):
    """What is not computed by one thread does not depend on their number."""
    network, probe = SPACE.build(SPACE[284]).to(memory_format=torch.channels_last), probe_of(count=16, size=16)
    values, count = [], torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        values.append(score(name, network, probe))
    torch.set_num_threads(count)
    assert values[0] == values[1]


def test_all_scores_at_once_are_those_of_each():
    """From one forward and one backward pass, which every score leaves as it was."""
    network, probe = SPACE.build(SPACE[284]), probe_of(classes=10)
    together = compute_scores(network, probe, list(REGISTERED))
    assert together == {name: score(name, network, probe) for name in REGISTERED}
    assert compute_scores(network, probe, list(REGISTERED)[::-1]) == together


def test_scores_of_the_forward_pass_share_it():
    """However many ask, and whoever asks first; asked for without notice, one pass more for each that observes."""
    calls = []
    network = SPACE.build(SPACE[11])
    network.classifier.register_forward_hook(lambda *_: calls.append(0))
    names = ["az_progressivity", "naswot", "swap", "nwot_normalised", "meco", "az_expressivity", "relu_meco"]
    compute_scores(network, probe_of(), names)
    assert len(calls) == 1
    measured = Measured(network, probe_of())
    assert {name: REGISTERED[name](measured) for name in names} == compute_scores(network, probe_of(), names)
    assert len(calls) == 2 + 4


def test_scores_of_the_backward_pass_share_it(monkeypatch):
    calls = []
    monkeypatch.setattr(
        torch.autograd, "grad", lambda *args, grad=torch.autograd.grad, **kw: calls.append(0) or grad(*args, **kw)
    )
    compute_scores(branches(), probe_of(), ["snip", "fisher", "grad_norm"])
    assert len(calls) == 1
