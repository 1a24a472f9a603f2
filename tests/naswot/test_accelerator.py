"""What holds on a GPU, as far as a simulated one can show it: device discipline, exact codes, restored settings."""

import pytest
import torch
from torch import nn

from naswot_lightning.data.probe import load_probe
from naswot_lightning.errors import UserError
from naswot_lightning.naswot import activation_kernel
from naswot_lightning.naswot.compiled.codes import CodeDistances
from naswot_lightning.naswot.naswot import BatchStatistics
from naswot_lightning.networks import build_network, move_network
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.scores import AGGREGATES
from naswot_lightning.scores.base import Measured
from naswot_lightning.scores.registry import REGISTERED, compute_scores
from naswot_lightning.seeds import seed_device, seeded
from naswot_lightning.spaces import get_space
from tests.devices import CPU, CUDA, Accelerator
from tests.scores.networks import cell, probe_of, score

SPACE = get_space("nasbench201")
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def evaluated(names):
    """The evaluation of one candidate, and launches beyond the network's own, copies and waits of it."""
    probe = load_probe("noise", "", 4, 0)
    with Accelerator() as accelerator:
        evaluator = ScoreEvaluator(SPACE, [probe], names, device=CUDA)
        evaluator.prepare()
        with torch.no_grad(), BatchStatistics():
            network = move_network(build_network(SPACE, CELL, 0, 10), CUDA, True).eval()
            accelerator.counts()
            network(evaluator.probes[0].images)
        own, _, _ = accelerator.counts()
        found = evaluator(CELL)
        launches, copies, waits = accelerator.counts()
    relus = sum(isinstance(module, nn.ReLU) for module in network.modules())
    assert found.scores == pytest.approx(ScoreEvaluator(SPACE, [probe], names)(CELL).scores, rel=1e-4)
    return launches - own, copies, waits, relus


def test_a_candidate_costs_few_launches_copies_and_waits():
    launches, copies, waits, relus = evaluated(["naswot"])
    assert launches <= 12 + 2 * relus
    assert copies <= 3
    assert waits <= 2
    # Nine scores: two passes more, one of them in float64 with gradients, and 18 launches for the channels of a ReLU.
    launches, copies, waits, relus = evaluated(AGGREGATES["robust"])
    assert launches <= 1800 + 20 * relus
    assert copies <= 6
    assert waits <= 4


def test_the_simulated_device_refuses_mixed_tensors_and_counts():
    with Accelerator() as accelerator:
        there = torch.ones(3, 4).to("cuda")
        assert (there.device, there.sum().device, torch.zeros(2, device="cuda").device) == (CUDA, CUDA, CUDA)
        accelerator.counts()
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3, 4)
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert float((there * 2).view(12)[1:].amax()) == 2
        assert accelerator.counts() == (2, 0, 1)
        assert there[there > 0].cpu().tolist() == [1.0] * 12
        assert accelerator.counts() == (2, 1, 2)
    assert there.device == CPU


def test_every_score_keeps_to_its_device():
    with Accelerator() as accelerator:
        found = compute_scores(move_network(cell(), CUDA, True), probe_of().to(CUDA), list(REGISTERED))
    # Two for each draw of zen; most others one or two.
    assert accelerator.waits <= 32
    assert found == pytest.approx(compute_scores(cell(), probe_of(), list(REGISTERED)), rel=1e-3)


@pytest.mark.parametrize("product", ["int8", "float32"])
def test_codes_are_exact_in_autocast(monkeypatch, product):
    if product == "float32":
        monkeypatch.setattr(torch, "_int_mm", lambda *_: (_ for _ in ()).throw(RuntimeError("not on this device")))
    images = torch.randn(20, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    network = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(4800, 4))
    expected = activation_kernel(network, images), score("swap", network, probe_of(20, 40))
    with Accelerator():
        network.to("cuda")
        for precision in ("32", "bf16"):
            kernel = activation_kernel(network, images.to("cuda"), precision=precision)
            assert kernel.matrix.equal(expected[0].matrix)
            assert not kernel.has_nan
            measured = Measured(network, probe_of(20, 40).to(CUDA), precision=precision)
            assert REGISTERED["swap"].function(measured) == expected[1]
        with torch.autocast("cuda", torch.bfloat16):
            assert score("swap", network, probe_of(20, 40).to(CUDA)) == expected[1]
        images[3, 2, 1, 0] = torch.nan
        assert activation_kernel(network, images.to("cuda")).has_nan


def test_codes_of_more_units_than_a_product_holds(monkeypatch):
    monkeypatch.setattr("naswot_lightning.naswot.compiled.codes._CODE_BYTES", 24 * 128)
    layers = [torch.randn(5, units) for units in (100, 64, 0, 1, 700, 90)]
    there, here = CodeDistances(5), CodeDistances(5)
    for values in layers:
        here.add(values)
        with Accelerator():
            there.add(values.to("cuda"))
    with Accelerator():
        assert there.kernel().matrix.equal(here.kernel().matrix)


def test_weights_are_moved_as_they_are():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 4), nn.Linear(4, 4))
    network[3].weight = network[2].weight
    network.register_buffer("wide", torch.arange(3.0).expand(2, 3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with Accelerator() as accelerator:
        moved = move_network(network, CUDA, channels_last=True)
        assert accelerator.copies == 2
        assert moved[3].weight is moved[2].weight
        assert moved[0].weight.is_contiguous(memory_format=torch.channels_last)
        assert {value.device for value in moved.state_dict().values()} == {CUDA}
        assert all(value.cpu().equal(before[name]) for name, value in moved.state_dict().items())


def test_a_network_that_says_how_it_is_moved_is_asked():
    class Own(nn.Linear):
        def _apply(self, function, recurse=True):
            self.asked = True
            return super()._apply(function, recurse)

    with Accelerator():
        network = move_network(nn.Sequential(Own(2, 2)), CUDA, True)
        assert network[0].asked
        assert network[0].weight.device == CUDA


def test_float32_is_float32_while_scoring_and_settings_are_as_before():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    seen = []

    class Curious(nn.Module):
        def forward(self, x):
            seen.append((cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32))
            return torch.relu(x)

    cudnn.benchmark, matmul.allow_tf32 = True, True
    try:
        with Accelerator():
            activation_kernel(Curious(), torch.randn(4, 3, device="cuda"))
        assert seen == [(False, True, False, False)]
        assert (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32) == (True, False, True, True)
    finally:
        cudnn.benchmark, matmul.allow_tf32 = False, False


def test_the_second_gpu_has_a_generator_of_its_own():
    with Accelerator() as accelerator:
        first, second = accelerator.generators
        before = first.get_state(), second.get_state()
        seed_device(torch.device("cuda", 1), 5)
        assert second.initial_seed() == 5
        assert first.get_state().equal(before[0])
        with seeded(7, torch.device("cuda", 1)):
            assert second.initial_seed() == 7
        assert second.initial_seed() == 5


def test_bf16_on_a_gpu_without_it_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    with Accelerator(), pytest.raises(UserError, match=r"bf16: Tesla T4 has no bfloat16 .*; use --precision 32"):
        ScoreEvaluator(SPACE, [probe_of()], device="cuda", precision="bf16").prepare()
