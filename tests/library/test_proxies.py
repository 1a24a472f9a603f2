import copy
import functools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naswot_lightning.data.probe import Probe
from naswot_lightning.errors import UserError
from naswot_lightning.proxies import PROXIES, compute_scores, parse_scores
from naswot_lightning.score import activation_kernel, naswot_score
from spaces import get_space

SPACE = get_space("nasbench201")
DISCONNECTED = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
GRADIENT_SCORES = ["jacob_cov", "grad_norm", "snip", "synflow"]


def probe_of(count=6, size=8, seed=0, classes=4, image_size=None):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, size, size, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)
    return Probe(images.contiguous(memory_format=torch.channels_last), labels, classes, image_size or size, "")


def score(name, network, probe=None):
    return compute_scores(network, probe or probe_of(), [name])[name]


class Branches(nn.Module):
    """Grouped and plain convolutions, BatchNorm, a sum, an in-place rectifier, biases and a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.left, self.right = nn.Conv2d(6, 6, 3, padding=1, groups=2), nn.Conv2d(6, 6, 1, bias=False)
        self.last_norm, self.linear, self.drop = nn.BatchNorm2d(6), nn.Linear(6, 4), nn.Dropout(0.5)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)), inplace=True)
        x = F.avg_pool2d(F.relu(self.last_norm(self.left(x) + self.right(x))), 2)
        return self.linear(self.drop(x.mean((2, 3))))


def branches(seed=0):
    torch.manual_seed(seed)
    network = Branches()
    with torch.no_grad():
        for norm in (network.norm, network.last_norm):
            norm.weight.uniform_(-1, 2)
            norm.bias.uniform_(-1, 1)
            norm.running_mean.fill_(3.0)
            norm.running_var.fill_(5.0)
    return network


def with_batch_statistics(network):
    """A clone whose BatchNorm is in train mode and nothing else."""
    clone = copy.deepcopy(network).eval()
    for module in clone.modules():
        module.training = isinstance(module, nn.BatchNorm2d)
    return clone


def conv_and_linear_weights(network):
    return [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


# ---- each score against another way to compute it


def test_naswot_is_equation_2():
    network, probe = branches(), probe_of()
    assert score("naswot", network, probe) == naswot_score(network, probe.images)


def test_jacob_cov_agrees_with_gradients_image_by_image_and_numpy():
    network, probe = branches(), probe_of()
    clone, images = with_batch_statistics(network).double(), probe.images.double()
    rows = []
    for position in range(len(images)):
        image = images[position].clone().requires_grad_()
        batch = torch.cat([images[:position], image[None], images[position + 1 :]])
        clone(batch).sum().backward()
        rows.append(image.grad.flatten().numpy())
    values = np.real(np.linalg.eig(np.corrcoef(np.stack(rows)))[0])
    expected = -np.sum(np.log(values + 1e-5) + 1 / (values + 1e-5))
    assert score("jacob_cov", network, probe) == pytest.approx(expected, rel=1e-4)


def test_jacob_cov_looks_at_the_augmented_images_where_there_are_some():
    network, probe, other = SPACE.build(SPACE[1462], 4), probe_of(), probe_of(seed=1)
    plain, augmented = score("jacob_cov", network, probe), score("jacob_cov", network, other)
    assert score("jacob_cov", network, replace(probe, augmented=other.images)) == augmented != plain
    assert score("naswot", network, replace(probe, augmented=other.images)) == score("naswot", network, probe)


def test_jacob_cov_of_a_linear_network_by_hand():
    """All Jacobians are equal: eigenvalues N, 0, ..., 0."""
    network, k = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), 1e-5
    expected = -(math.log(6 + k) + 1 / (6 + k)) - 5 * (math.log(k) + 1 / k)
    assert score("jacob_cov", network) == pytest.approx(expected, rel=1e-8)


def backward_weights(network, probe):
    clone = with_batch_statistics(network)
    F.cross_entropy(clone(probe.images), probe.labels).backward()
    return conv_and_linear_weights(clone)


def test_grad_norm_agrees_with_backward():
    network, probe = branches(), probe_of()
    expected = sum(float(np.linalg.norm(w.grad.numpy())) for w in backward_weights(network, probe))
    assert score("grad_norm", network, probe) == pytest.approx(expected, rel=1e-5)


def test_snip_agrees_with_backward():
    network, probe = branches(), probe_of()
    expected = sum(float(np.abs(w.detach().numpy() * w.grad.numpy()).sum()) for w in backward_weights(network, probe))
    assert score("snip", network, probe) == pytest.approx(expected, rel=1e-5)


def test_snip_and_grad_norm_of_a_linear_network_by_hand():
    """dL/dW = (softmax - onehot)^T x / N."""
    network, probe = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), probe_of()
    weight, bias = (p.detach().double().numpy() for p in network[1].parameters())
    inputs = probe.images.flatten(1).double().numpy()
    powers = np.exp(inputs @ weight.T + bias)
    errors = powers / powers.sum(1, keepdims=True) - np.eye(4)[probe.labels.numpy()]
    gradient = errors.T @ inputs / len(inputs)
    assert score("grad_norm", network, probe) == pytest.approx(np.sqrt((gradient**2).sum()), rel=1e-5)
    assert score("snip", network, probe) == pytest.approx(np.abs(weight * gradient).sum(), rel=1e-5)


def brute_force_synflow(network, shape=(1, 3, 8, 8)):
    clone = copy.deepcopy(network).double().eval()
    for module in list(clone.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for parameter in clone.parameters():
            parameter.abs_()
    clone(torch.ones(shape, dtype=torch.float64)).sum().backward()
    return math.log(sum(float((w.detach() * w.grad).abs().sum()) for w in conv_and_linear_weights(clone)))


def test_synflow_agrees_with_a_changed_clone():
    assert score("synflow", branches()) == pytest.approx(brute_force_synflow(branches()), rel=1e-12)
    network = SPACE.build(SPACE[11])
    assert score("synflow", network) == pytest.approx(brute_force_synflow(network), rel=1e-12)


def test_synflow_of_two_linear_layers_by_hand():
    """R = 1^T |W2| |W1| 1, and each of the two layers contributes R."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 5, bias=False), nn.Linear(5, 4, bias=False))
    first, second = (layer.weight.detach().double().abs().numpy() for layer in network[1:])
    expected = 2 * (second @ first @ np.ones(192)).sum()
    assert score("synflow", network) == pytest.approx(math.log(expected), rel=1e-12)


@pytest.mark.parametrize("value", [100.0, -1e4, 1e-5])
def test_synflow_beyond_the_range_of_doubles(value):
    """100 layers of 32 equal weights: R = 192 w (32 w)^99 32, up to 1e550 and down to 1e-347."""
    layers = [nn.Linear(192, 32, bias=False), *(nn.Linear(32, 32, bias=False) for _ in range(99))]
    network = nn.Sequential(nn.Flatten(), *(nn.Sequential(layer, nn.ReLU()) for layer in layers))
    with torch.no_grad():
        for layer in layers:
            layer.weight.fill_(value)
    w = float(layers[0].weight.detach()[0, 0].abs())
    log_r = math.log(192 * w) + 99 * math.log(32 * w) + math.log(32)
    assert score("synflow", network) == pytest.approx(math.log(100) + log_r, rel=1e-12)


def test_synflow_with_biases_does_not_depend_on_the_scaling(monkeypatch):
    network = branches()
    unscaled = score("synflow", network)
    for exponent in (-400, 400):
        monkeypatch.setattr("naswot_lightning.proxies.synflow._FLOW_EXPONENTS", (exponent,))
        assert score("synflow", network) == pytest.approx(unscaled, rel=1e-12)


def test_synflow_sees_neither_images_nor_labels_nor_batch_norm():
    network = branches()
    expected = score("synflow", network)
    assert score("synflow", network, probe_of(count=2, seed=5)) == expected
    with torch.no_grad():
        network.norm.weight.fill_(7.0)
        network.norm.running_var.fill_(9.0)
    assert score("synflow", network) == expected


@pytest.mark.parametrize("index", [0, 11, 1462])
def test_params_macs_and_rectified_units_by_closed_form(index):
    """MACs are those of the data set's images, rectified units those of the probe's."""
    network, probe = SPACE.build(SPACE[index]), probe_of(size=8, image_size=32)
    expected = SPACE.complexity(SPACE[index])
    assert score("params", network, probe) == expected.params
    assert score("macs", network, probe) == expected.macs
    assert score("rectified_units", network, probe) == activation_kernel(network, probe.images).n_units


def test_params_are_those_that_train():
    network = branches()
    before = score("params", network)
    network.stem.weight.requires_grad_(False)
    assert score("params", network) == before - network.stem.weight.numel()


def test_macs_where_feature_maps_shrink_to_one_pixel():
    network = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 4))
    assert score("macs", network) == 4 * 192 + 4 * 5


def test_random_depends_on_the_weights_alone():
    networks = [branches(seed) for seed in range(40)]
    first = [score("random", network) for network in networks]
    assert [score("random", network, probe_of(seed=9)) for network in networks[::-1]] == first[::-1]
    assert score("random", branches(0).to(memory_format=torch.channels_last)) == first[0]
    assert len(set(first)) == 40
    assert all(0 <= value < 1 for value in first)
    assert 0.3 < sum(first) / 40 < 0.7
    with torch.no_grad():
        networks[0].linear.bias[0] += 1
    assert score("random", networks[0]) != first[0]


# ---- what all scores have in common


@pytest.mark.parametrize("name", PROXIES)
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


@pytest.mark.parametrize("name", PROXIES)
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


@pytest.mark.parametrize("name", PROXIES)
def test_finite_and_different_on_twelve_networks_of_nas_bench_201(name):
    probe = probe_of(count=4, classes=10)
    values = [score(name, network, probe) for network in twelve_networks()]
    assert all(math.isfinite(value) for value in values)
    assert len(set(values)) > 3  # rectified units count the convolutions, of which a cell has 0 to 6


@pytest.mark.parametrize("name", ["naswot", *GRADIENT_SCORES])
def test_a_disconnected_cell_is_degenerate(name):
    assert score(name, SPACE.build(DISCONNECTED)) == -math.inf


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


@pytest.mark.parametrize("name", ["naswot", *GRADIENT_SCORES])
@pytest.mark.parametrize("network", [lambda: SPACE.build(SPACE[11]), branches])
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


@pytest.mark.parametrize("name", PROXIES)
def test_the_first_tensor_of_a_tuple_counts(name):
    class Pair(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return (self.network(x), None), x * 1e9

    wrapped = score(name, Pair(branches()))
    assert wrapped == score(name, branches()) or name == "random"  # names of parameters are part of its seed


@pytest.mark.parametrize("name", GRADIENT_SCORES)
def test_an_output_without_tensor_says_so(name):
    class Words(nn.Module):
        def forward(self, x):
            return "none"

    with pytest.raises(TypeError, match="returned str: expected a tensor"):
        score(name, Words())


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


@pytest.mark.parametrize("name", ["grad_norm", "snip", "synflow"])
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
    assert score(name, shared) == score(name, reused)


@pytest.mark.parametrize("name", ["grad_norm", "snip"])
def test_labels_beyond_the_outputs_are_an_error_that_says_so(name):
    probe = replace(probe_of(), labels=torch.tensor([0, 1, 2, 3, 9, 0]))
    with pytest.raises(ValueError, match="has 4 outputs, the labels go to 9"):
        score(name, branches(), probe)


def test_every_proxy_says_where_it_comes_from_and_what_it_costs():
    assert {
        "naswot", "jacob_cov", "grad_norm", "snip", "synflow", "params", "macs", "rectified_units", "random"
    } == set(PROXIES)  # fmt: skip
    assert all(proxy.source and proxy.cost and proxy.higher_is_better for proxy in PROXIES.values())


# ---- names on the command line


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("naswot", [["naswot"]]),
        ("naswot,jacob_cov+params", [["naswot"], ["jacob_cov", "params"]]),
        (" naswot , synflow + naswot ", [["naswot"], ["synflow", "naswot"]]),
    ],
)
def test_parse_scores(text, columns):
    assert [[part.name for part in criterion.parts] for criterion in parse_scores(text)] == columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("naswott", "unknown score 'naswott', expected one of naswot, .* did you mean 'naswot'"),
        ("naswot,snip+sinflow", "unknown score 'sinflow'.*did you mean 'synflow'"),
        ("", "score '': a name is missing"),
        ("naswot,,snip", "a name is missing; write e.g."),
        ("naswot+", "score 'naswot\\+': a name is missing"),
        ("snip+snip", "snip\\+snip repeats"),
        ("snip,naswot,snip", "snip repeats a name or a column"),
        ("snip+naswot,naswot+snip", "naswot\\+snip repeats"),
    ],
)
def test_parse_scores_says_what_is_wrong_in_one_line(text, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_scores(text)
    assert "\n" not in str(caught.value)
