"""What holds for every score: golden values, nothing is changed, degenerate networks, NaN, sharing of passes."""

import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning.naswot import NoRectifierError
from naswot_lightning.scores.base import Measured
from naswot_lightning.scores.registry import REGISTERED, compute_scores
from tests.scores.networks import GRADIENT_SCORES, LOSS_SCORES, SPACE, branches, probe_of, score

OF_RECTIFIERS = [
    "nwot_normalised", "swap", "relu_entropy", "relu_rank", "relu_input_rank", "relu_volume", "relu_meco", "diversity",
]  # fmt: skip
FORWARD_SCORES = [*OF_RECTIFIERS, "meco", "az_expressivity", "az_progressivity", "az_trainability"]
# Scores that see whether a network computes anything, and whether what it computes is a number.
SIGHTED = ["naswot", *GRADIENT_SCORES, *FORWARD_SCORES, "vkdnw"]
DISCONNECTED = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
# Of CELL, as they were when the formulas were checked.
GOLDEN = {
    "naswot": 177.4505, "jacob_cov": -16.28114, "grad_norm": 35.9466, "snip": 75.30546, "fisher": 0.01230434,
    "grasp": 22.57364, "zico": 546.0401, "synflow": 82.82277, "nwot_normalised": -9.372005, "swap": 42230,
    "meco": 14.41432, "relu_entropy": 163.2984, "relu_rank": 1447.331, "relu_input_rank": 1311.460,
    "relu_volume": 1457.443, "relu_meco": 52.28220, "az_expressivity": 56.78897, "az_progressivity": -0.01336939,
    "az_trainability": -0.2933987, "zen": 162.6428, "vkdnw": 156.4553, "params": 587386, "macs": 20624010,
    "rectified_units": 117760, "log_width": 181.6046, "conv_depth": 35, "diversity": 30.43104,
}  # fmt: skip
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


def every_score(network, probe=None):
    return compute_scores(network, probe or probe_of(), list(REGISTERED))


class Returning(nn.Module):
    """Returns what ``give`` makes of the images and the logits."""

    def __init__(self, network, give):
        super().__init__()
        self.network, self.give = network, give

    def forward(self, x):
        return self.give(x, self.network(x))


def test_golden_values():
    torch.manual_seed(0)
    found = every_score(SPACE.build(CELL), probe_of(count=16, size=16, classes=10))
    assert found.keys() == REGISTERED.keys() == {*GOLDEN, "random"}
    del found["random"]  # of every bit of the weights
    assert found == pytest.approx(GOLDEN, rel=1e-3)


def test_every_score_leaves_network_probe_and_generators_as_found():
    for number, name in enumerate(REGISTERED):
        training = number % 2 == 0
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
        assert generators[0].equal(torch.get_rng_state()), name
        assert generators[1:] == (random.getstate(), np.random.get_state()[1].tolist()), name
        assert all(value.equal(state[key]) for key, value in network.state_dict().items()), name
        assert {k: id(v) for k, v in [*network.named_parameters(), *network.named_buffers()]} == tensors, name
        assert list(network.modules()) == modules, name
        assert [module.training for module in modules] == flags, name
        assert [key for key, p in network.named_parameters() if not p.requires_grad] == ["left.weight"], name
        assert [key for key, p in network.named_parameters() if p.grad is not None] == ["stem.weight"], name
        assert network.stem.weight.grad.eq(1).all(), name
        assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules].count(1) == 1, name
        assert probe.images.equal(images), name
        assert not probe.images.requires_grad, name
        assert probe.labels.equal(labels), name
        assert score(name, network, probe) == first, name


def test_frozen_parameters_and_callers_without_gradients_change_no_score():
    network = branches()
    expected = every_score(network)
    for ambient in (torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)):
        with ambient():
            assert every_score(network) == expected
    assert every_score(branches().requires_grad_(False)) == {**expected, "params": 0}


def test_degenerate_networks():
    found = every_score(SPACE.build(DISCONNECTED, 4))
    sighted = [name for name in SIGHTED if name != "meco"]  # the stem's channels are independent
    assert {name: found[name] for name in sighted} == dict.fromkeys(sighted, -math.inf)
    # An output that depends on nothing, and one image without a gradient.
    constant = Returning(nn.Conv2d(3, 4, 1), lambda x, maps: F.relu(maps).new_zeros(len(x), 4))
    names = [*GRADIENT_SCORES, "vkdnw"]
    assert compute_scores(constant, probe_of(), names) == dict.fromkeys(names, -math.inf)
    probe = probe_of()
    probe.images[2] = -9.0
    assert score("jacob_cov", nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(192, 4)), probe) == -math.inf


def test_nan_and_overflow_give_nan():
    for network in (SPACE.build(SPACE[11], 4), branches()):
        with torch.no_grad():
            next(network.parameters()).view(-1)[0] = math.nan
        found = compute_scores(network, probe_of(), SIGHTED)
        assert all(math.isnan(value) for value in found.values()), found
    network = NETWORKS["no convolution"]()
    with torch.no_grad():
        for layer in (network[1], network[3]):
            layer.weight.fill_(3e38)
    found = compute_scores(network, probe_of(), ["snip", "grad_norm"])
    assert all(math.isnan(value) for value in found.values()), found


def test_features_beside_the_logits_change_no_score():
    expected = every_score(branches())
    found = every_score(Returning(branches(), lambda x, logits: (x.mean((2, 3)) * 1e9, {"out": logits}, None)))
    assert found == {**expected, "random": found["random"]}  # names of parameters are part of its seed


def test_a_network_that_changes_its_input_and_buffers_in_place():
    class Tidy(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(()))
            self.body = branches()

        def forward(self, x):
            return self.body(x * 0.5)

    class Untidy(Tidy):
        def forward(self, x):
            out = self.body(x.mul_(0.5))
            self.mean += out.mean()
            return out

    for name in GRADIENT_SCORES:
        network, probe = Untidy(), probe_of()
        assert score(name, network, probe) == pytest.approx(score(name, Tidy()), rel=1e-9), name
        assert probe.images.equal(probe_of().images), name
        assert network.mean.equal(torch.zeros(())), name
        assert not network.mean.requires_grad, name


def test_a_shared_weight_counts_once():
    class Twice(nn.Module):
        def __init__(self, shared):
            super().__init__()
            torch.manual_seed(0)
            self.first = nn.Linear(192, 192, bias=False)
            self.second = nn.Linear(192, 192, bias=False) if shared else self.first
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(F.relu(self.first(x.flatten(1))))

    names, probe = [*LOSS_SCORES, "synflow"], probe_of(classes=192)
    assert compute_scores(Twice(True), probe, names) == compute_scores(Twice(False), probe, names)


def test_networks_without_the_usual_parts_are_scored():
    """A score is a number, or says that a ReLU is missing."""
    for name in REGISTERED:
        if name in ("naswot", "rectified_units"):
            continue
        for network, make in NETWORKS.items():
            if name in OF_RECTIFIERS and network not in ("no batch norm", "no convolution"):
                with pytest.raises(NoRectifierError):
                    score(name, make())
            else:
                assert score(name, make()) < math.inf, (name, network)


def test_threads_change_no_score():
    network, probe = SPACE.build(SPACE[284]).to(memory_format=torch.channels_last), probe_of(16, 16, classes=10)
    values, count = [], torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        values.append(every_score(network, probe))
    torch.set_num_threads(count)
    assert values[0] == values[1]


def test_all_scores_at_once_are_those_of_each():
    """From one forward and one backward pass, which every score leaves as it was."""
    network, probe = SPACE.build(SPACE[284]), probe_of(classes=10)
    together = every_score(network, probe)
    assert together == {name: score(name, network, probe) for name in REGISTERED}
    assert compute_scores(network, probe, list(REGISTERED)[::-1]) == together


def test_scores_of_a_pass_share_it(monkeypatch):
    """However many ask, and whoever asks first; asked for without notice, one pass more for each that observes."""
    calls = []
    network = SPACE.build(SPACE[11])
    network.classifier.register_forward_hook(lambda *_: calls.append(0))
    names = ["az_progressivity", "naswot", "swap", "nwot_normalised", "meco", "az_expressivity", "relu_meco"]
    compute_scores(network, probe_of(), names)
    assert len(calls) == 1
    measured = Measured(network, probe_of())
    assert {name: REGISTERED[name].function(measured) for name in names} == compute_scores(network, probe_of(), names)
    assert len(calls) == 2 + 4
    grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *args, **kwargs: calls.append(0) or grad(*args, **kwargs))
    compute_scores(branches(), probe_of(), ["snip", "fisher", "grad_norm"])
    assert len(calls) == 2 + 4 + 1
