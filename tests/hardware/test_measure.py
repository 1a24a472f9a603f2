"""Timing of forward passes, and the memory that they hold."""

import pytest
import torch
from torch import nn

from naswot_lightning.errors import UserError
from naswot_lightning.hardware import measure
from naswot_lightning.hardware.measure import Device, forward_pass, measure_latencies, peak_memory, time_passes
from naswot_lightning.hardware.onnx import expect_installed
from tests.devices import CUDA, Accelerator, place_of

IMAGES = torch.zeros(1, 3, 8, 8)


def test_passes_are_taken_in_turn_until_their_medians_are_known(monkeypatch):
    clock, taken = [0.0], []
    durations = {"steady": [0.010] * 4, "noisy": [0.010, 0.030]}
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])

    def passes(name):
        def run():
            clock[0] += durations[name][len([each for each in taken if each == name]) % len(durations[name])]
            taken.append(name)

        return run

    steady, noisy = measure_latencies([passes("steady"), passes("noisy")], Device(), share=0.02, seconds=1.0)
    assert taken[:8] == ["steady"] * 3 + ["noisy"] * 3 + ["steady", "noisy"]
    # After half a second one is known; the other, of which half the passes take 30 ms, never, and the time is spent.
    assert (steady.median_ms, steady.iqr_ms, steady.interval_ms) == pytest.approx((10, 0, 0))
    assert steady.passes == 17
    assert clock[0] == pytest.approx(2.1, abs=0.05)
    assert (noisy.median_ms, noisy.iqr_ms, noisy.interval_ms) == pytest.approx((20, 20, 10), abs=10)


def test_threads_are_set_while_measuring_and_short_passes_are_timed_together():
    before, seen = torch.get_num_threads(), []
    (samples,) = time_passes([lambda: seen.append(torch.get_num_threads())], Device(threads=before + 1), seconds=0)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
    assert len(samples) == 1
    assert len(seen) > 100


def test_precision_and_memory_format_are_those_of_the_pass():
    seen = []

    class Network(nn.Conv2d):
        def forward(self, images):
            seen.append((images.dtype, self.weight.dtype, images.is_contiguous(memory_format=torch.channels_last)))
            return super().forward(images)

    for device in (Device(), Device(precision="bf16", channels_last=True)):
        forward_pass(Network(3, 4, 3), torch.zeros(2, 3, 8, 8), device)()
    assert seen == [(torch.float32, torch.float32, False), (torch.bfloat16, torch.bfloat16, True)]
    assert str(device) == "1 image, 1 thread, cpu, torch, bf16, channels_last"


def test_a_gpu_is_waited_for_before_and_after_each_pass(monkeypatch):
    waits = []
    monkeypatch.setattr(torch.cuda, "synchronize", waits.append)
    with Accelerator():
        network, device = nn.Conv2d(3, 4, 3), Device("cuda:0")
        run = forward_pass(network, IMAGES, device)
        assert place_of(run()) == CUDA
        time_passes([run], device, seconds=0)
    # Three warm passes and one of a round.
    assert waits == ["cuda:0"] * 8


def test_peak_memory_is_what_is_alive_at_once():
    # Weights 3 * 4 * 9 + 4 = 112 and images 192 are alive all the time; 4 x 8 x 8 and 2 x 8 x 8 activations together.
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1, bias=False))
    numbers = 112 + 8 + 192 + (4 + 2) * 64
    assert peak_memory(network, IMAGES) == 4 * numbers
    assert peak_memory(network.to("meta"), IMAGES.to("meta")) == 4 * numbers


def test_onnx_runtime_runs_the_network():
    with pytest.raises(UserError, match="--latency_runtime onnxruntime: pip install no_such_package"):
        expect_installed("--latency_runtime onnxruntime", "torch", "no_such_package")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    images = torch.rand(2, 3, 8, 8)
    (logits,) = forward_pass(network, images, Device(runtime="onnxruntime"))()
    assert torch.from_numpy(logits).allclose(network(images), atol=1e-5)
