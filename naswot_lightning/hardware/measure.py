"""Measure forward passes: their latency on a device, and the memory that is alive at once."""

from __future__ import annotations

import math
import platform
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from naswot_lightning.hardware.onnx import onnx_session
from naswot_lightning.naswot import Precision
from naswot_lightning.networks import move_network
from naswot_lightning.storage.records import STRICT, Above0, Amount, Positive

Runtime = Literal["torch", "compiled", "onnxruntime"]
# A median counts as known where its 95 % interval is at most so wide to either side, as a share of it.
SHARE = 0.02
_LEAST_PASSES, _WARM_PASSES = 10, 3
# A processor's speed drifts over seconds: passes take turns for at least this long each.
_DRIFT_SECONDS = 0.25
# Shorter passes are timed several at once: the clock and the loop take .1 us.
_LEAST_SECONDS = 2e-4


@dataclass(frozen=True)
class Device:
    """Where and how a forward pass is measured."""

    device: str = "cpu"
    batch: int = 1
    threads: int = 1
    runtime: Runtime = "torch"
    precision: Precision = "32"
    """of weights and images."""
    channels_last: bool = False
    """whether images of (N, C, H, W) lie in that memory."""

    def describe(self) -> dict[str, Any]:
        """Return what a latency depends on besides the network: the settings, the processor, the version of torch."""
        cuda = torch.device(self.device).type == "cuda"
        processor = torch.cuda.get_device_name(self.device) if cuda else _processor()
        return {**vars(self), "processor": processor, "torch": torch.__version__}

    def __str__(self) -> str:
        images = "1 image" if self.batch == 1 else f"{self.batch} images"
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        further = f"{', bf16' * (self.precision == 'bf16')}{', channels_last' * self.channels_last}"
        return f"{images}, {threads}, {self.device}, {self.runtime}{further}"


@dataclass(frozen=True)
class Latency:
    """The latency of one network."""

    median_ms: Above0
    iqr_ms: Amount
    """from the first to the third quartile of the passes."""
    interval_ms: Amount
    """half the width of the median's 95 % interval."""
    passes: Positive

    __pydantic_config__ = STRICT


def forward_pass(network: nn.Module, images: Tensor, device: Device) -> Callable[[], object]:
    """Return what runs the network once on images (N, C, H, W) in the device's runtime, perhaps without waiting."""
    network = network.eval()
    if device.runtime == "onnxruntime":
        with TemporaryDirectory() as folder:
            return onnx_session(network, images, Path(folder) / "model.onnx", device.threads, device.device)
    place = torch.device(device.device)
    network, images = move_network(network, place, device.channels_last), images.to(place)
    if device.channels_last and images.dim() == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    if device.precision == "bf16":
        network, images = network.bfloat16(), images.bfloat16()
    run = torch.compile(network) if device.runtime == "compiled" else network
    return lambda: run(images)


def measure_latencies(
    passes: Sequence[Callable[[], object]], device: Device, share: float = SHARE, seconds: float = 1.0
) -> list[Latency]:
    """Return the latency of each pass, taken in turn, round by round, so that what disturbs the machine meets all.

    After a quarter of a second per pass those are done whose median has an interval below ``share``, after ``seconds``
    per pass all are.
    """
    found = []
    for samples in time_passes(passes, device, share, seconds):
        first, median, third = np.quantile(samples, [0.25, 0.5, 0.75])
        seconds_of = median, third - first, _interval(samples)
        median_ms, iqr_ms, interval_ms = (round(1e3 * float(each), 6) for each in seconds_of)
        found.append(Latency(median_ms, iqr_ms, interval_ms, len(samples)))
    return found


@torch.inference_mode()
def time_passes(
    passes: Sequence[Callable[[], object]], device: Device, share: float = SHARE, seconds: float = 1.0
) -> list[list[float]]:
    """Return the seconds of each pass in each round, see :func:`measure_latencies`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(device.threads)
    try:
        repeats = [_warm(each, device) for each in passes]
        samples: list[list[float]] = [[] for _ in passes]
        waiting, start = list(range(len(passes))), time.perf_counter()
        while waiting:
            for number in waiting:
                samples[number].append(_time(passes[number], repeats[number], device))
            spent = (time.perf_counter() - start) / len(passes)
            if spent > seconds:
                break
            if spent > _DRIFT_SECONDS:
                waiting = [each for each in waiting if not _is_known(samples[each], share)]
        return samples
    finally:
        torch.set_num_threads(threads)


def _warm(run: Callable[[], object], device: Device) -> int:
    """Run until it is warm; return how many passes are timed at once."""
    least = min(_time(run, 1, device) for _ in range(_WARM_PASSES))
    return max(1, math.ceil(_LEAST_SECONDS / max(least, 1e-7)))


def _time(run: Callable[[], object], repeats: int, device: Device) -> float:
    """Return the seconds of one of several passes in a row, to the end of the last."""
    wait = torch.cuda.synchronize if device.device.startswith("cuda") and device.runtime != "onnxruntime" else None
    if wait:
        wait(device.device)
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    if wait:
        wait(device.device)
    return (time.perf_counter() - start) / repeats


def _is_known(samples: Sequence[float], share: float) -> bool:
    return len(samples) >= _LEAST_PASSES and _interval(samples) <= share * float(np.median(samples))


def _interval(samples: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of the median, by order statistics (Conover, 1999, section 3.2)."""
    ordered, n = sorted(samples), len(samples)
    reach = 0.98 * math.sqrt(n)
    low, high = math.floor(n / 2 - reach), math.ceil(n / 2 + reach)
    return (ordered[min(high, n - 1)] - ordered[max(low, 0)]) / 2


class _Alive(TorchDispatchMode):
    """While active, adds up the bytes of the tensors that are alive, and keeps the most."""

    def __init__(self, *tensors: Tensor) -> None:
        super().__init__()
        self._alive: dict[weakref.ref[Any], int] = {}
        self.peak = 0
        self._count(tensors)

    def _count(self, tensors: Any) -> None:
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._alive.setdefault(weakref.ref(storage, self._gone), storage.nbytes())
        self.peak = max(self.peak, sum(self._alive.values()))

    def _gone(self, storage: weakref.ref[Any]) -> None:
        self._alive.pop(storage, None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        self._count(output)
        return output


def zeros_for(network: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return images of zeros on the device of the network."""
    return torch.zeros(shape, device=next((each.device for each in network.parameters()), None))


@torch.no_grad()
def peak_memory(network: nn.Module, images: Tensor) -> int:
    """Return the most bytes that are alive at once in a forward pass: weights, buffers, images and activations.

    The network is on the CPU or on the meta device. What a library takes for its own work is not counted.
    """
    network = network.eval()
    with _Alive(images, *network.parameters(), *network.buffers()) as alive:
        network(images)
    return alive.peak


def _processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
