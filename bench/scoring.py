"""Scores of whole networks, the kernel of one layer, memory, and the training-free scores."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.clock import Rows, medians
from bench.published import PublishedProcess, two_products
from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.data.probe import Probe, load_probe
from naswot_lightning.execution.local import ProcessExecutor
from naswot_lightning.execution.resources import has_bf16_instructions
from naswot_lightning.naswot import Precision, activation_kernel, naswot_score
from naswot_lightning.naswot.compiled.codes import CodeDistances
from naswot_lightning.networks import build_network
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.scores.registry import AGGREGATES, REGISTERED, compute_scores
from naswot_lightning.spaces import get_space
from naswot_lightning.spaces.base import Space

SPACE = get_space("nasbench201")
NETWORKS, BATCH = 12, 128
# Scores of one pass, which is run once for all of them.
_SHARING: tuple[tuple[str, ...], ...] = (
    ("naswot", "nwot_normalised", "swap", "meco", "az_expressivity", "az_progressivity"),
    ("grad_norm", "snip", "fisher"),
)
_PYTHON_CALL = "naswot_score(network, images), both as a user has them"

Setting = tuple[str, Tensor, Precision]  # name, mini-batch, precision of its forward pass


def bare_forward(network: nn.Module, images: Tensor) -> None:
    """Run the network and look at nothing."""
    with torch.inference_mode():
        network(images)


def score_rows() -> Rows:
    """Compare scores of whole networks with the published procedure (untuned process) and the bare forward pass."""
    images = torch.randn(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    small = F.interpolate(images, size=16, mode="bilinear", antialias=True).contiguous(
        memory_format=torch.channels_last
    )
    settings = _settings(images, small)
    rng = random.Random(0)
    architectures = [SPACE.sample(rng) for _ in range(NETWORKS)]
    times = []
    with PublishedProcess(BATCH) as published_score:
        for architecture in architectures:
            ours = build_network(SPACE, architecture, 0, 10).to(memory_format=torch.channels_last)
            scores = [partial(_score, ours, batch, precision) for _, batch, precision in settings]
            plain = build_network(SPACE, architecture, 0, 10), images.contiguous()
            scores.append(partial(_score, *plain, "32"))
            times.append(
                medians((partial(published_score, architecture), partial(bare_forward, ours, images), *scores))
            )
    typical = [f"{1e3 * statistics.median(side):.1f} ms" for side in zip(*times, strict=True)]

    def against(position: int, base: int = 0) -> float:
        return statistics.median(t[base] / t[position] for t in times)

    rows = [("published procedure", typical[0], "1"), ("bare forward pass", typical[1], f"{against(1):.1f} x faster")]
    for position, (name, _, _) in enumerate(settings, start=2):
        forward = f"; {1 / against(position, 1):.2f} x the forward pass" if position == 2 else ""
        rows.append((f"score, {name}", typical[position], f"{against(position):.1f} x faster{forward}"))
    rows.append((_PYTHON_CALL, typical[-1], f"{against(-1):.1f} x faster; {1 / against(-1, 1):.2f} x the forward pass"))
    if all(precision == "32" for _, _, precision in settings):
        rows.append(("score, bf16", "-", "no bfloat16 instructions in this CPU"))
    return rows + _search_rows(architectures, settings, statistics.fmean(t[0] for t in times))


def _settings(images: Tensor, small: Tensor) -> list[Setting]:
    """Return what is measured: bf16 only where the CPU has instructions for it."""
    settings: list[Setting] = [("float32", images, "32"), ("float32, 16x16 images", small, "32")]
    if has_bf16_instructions(torch.device("cpu")):
        settings += [("bf16", images, "bf16"), ("bf16, 16x16 images", small, "bf16")]
    return settings


def _score(network: nn.Module, images: Tensor, precision: Precision) -> float:
    return activation_kernel(network, images, precision=precision).logdet()


def _search_rows(architectures: list[str], settings: list[Setting], published: float) -> Rows:
    """Return the time of a network in a search with a worker a core, against ``published``, the mean over the same."""
    count = torch.get_num_threads()
    rows = []
    for name, batch, precision in settings:
        probe = Probe(batch, torch.zeros(BATCH, dtype=torch.int64), 10, 32, "")
        evaluator = ScoreEvaluator(SPACE, [probe], precision=precision)
        scores = ProcessExecutor(count).run(evaluator, 6 * architectures)
        stamps = [time.perf_counter() for _ in scores]
        begun = len(architectures)  # not counted: the workers load and compile
        seconds = (stamps[-1] - stamps[begun - 1]) / (len(stamps) - begun)
        label = f"search, {count} workers, {name}"
        rows.append((label, f"{1e3 * seconds:.1f} ms", f"{published / seconds:.1f} x faster (means; with building)"))
    return rows


def layer_rows() -> Rows:
    """Compare the kernel of one layer of 16,384 units with the two float products."""
    layer = torch.randn(BATCH, 16_384)

    def kernel() -> Tensor:
        codes = CodeDistances(BATCH)
        codes.add(layer)
        return codes.kernel().matrix

    ours, products = medians((kernel, lambda: two_products(layer)), repeats=60)
    return [
        ("one layer, two float products", f"{1e3 * products:.2f} ms", "1"),
        (
            "one layer, packed bits",
            f"{1e3 * ours:.2f} ms",
            f"{products / ours:.1f} x faster; equal: {bool((kernel() == two_products(layer)).all())}",
        ),
    ]


def share_rows() -> Rows:
    """Split the time of one float32 score into its parts."""
    images = torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    architecture = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_3x3~1|none~2|"
    network = build_network(SPACE, architecture, 0, 10).to(memory_format=torch.channels_last)
    spent = 0.0

    def clocked(function: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            nonlocal spent
            start = time.perf_counter()
            result = function(*arguments)
            spent += time.perf_counter() - start
            return result

        return run

    naswot_score(network, images)
    with (
        mock.patch.object(CodeDistances, "pack", clocked(CodeDistances.pack)),
        mock.patch.object(CodeDistances, "kernel", clocked(CodeDistances.kernel)),
    ):
        start = time.perf_counter()
        kernels = [activation_kernel(network, images) for _ in range(10)]
        middle = time.perf_counter()
    for kernel in kernels:
        kernel.logdet()
    end = time.perf_counter()
    shares = {
        "forward and recording": middle - start - spent,
        "codes and distances": spent,
        "log-determinant": end - middle,
    }
    return [
        (f"share of {name}", f"{1e2 * value:.1f} ms", f"{100 * value / (end - start):.1f} %")
        for name, value in shares.items()
    ]


_MEMORY = """
import torch
from bench.scoring import SPACE, bare_forward
from naswot_lightning import naswot_score

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])

network = SPACE.build(SPACE[{index}]).to(memory_format=torch.channels_last)
images = torch.randn(128, 3, 32, 32).contiguous(memory_format=torch.channels_last)
small = images[:4, :, :8, :8].contiguous(memory_format=torch.channels_last)
naswot_score(network, small)  # load and compile all that both sides may use
bare_forward(network, small)
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
before = peak()
{call}(network, images)
print(peak() - before)
"""


def memory_rows() -> Rows:
    """Return the peak memory of a score above that of the bare forward pass, in processes of their own."""
    if not os.path.exists("/proc/self/clear_refs"):
        return [("peak memory", "-", "measured on Linux only")]

    def peak(call: str, index: int) -> int:
        command = [sys.executable, "-c", _MEMORY.format(call=call, index=index)]
        runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
        return sorted(int(run.stdout) for run in runs)[1]

    rows = []
    for name, index in (("no convolution in the cells", 3), ("all six edges 3x3 convolutions", 1462)):
        forward, ours = peak("bare_forward", index), peak("naswot_score", index)
        above = f"{(ours - forward) / 1024:+.1f} MiB above the forward pass"
        rows.append((f"peak memory, {name}", f"{ours / 1024:.0f} MiB", above))
    return rows


def score_cost_rows() -> Rows:
    """Return the cost of every training-free score, and of those that share a pass, batch 128, 3x32x32."""
    sides: dict[str, tuple[tuple[str, ...], str]] = {name: ((name,), score.cost) for name, score in REGISTERED.items()}
    for names in _SHARING:
        sides[", ".join(names)] = names, f"{REGISTERED[names[0]].cost}, shared"
    sides["robust"] = AGGREGATES["robust"], "one forward pass, and synflow's"
    wide = {name: sides[name] for name in ("naswot", "diversity", "robust")}
    return [
        *_cost_rows(SPACE, 5, sides, ""),
        # Up to 1,536 channels.
        *_cost_rows(get_space("nasbench_macro"), 8, wide, "nasbench_macro: "),
    ]


def _cost_rows(space: Space, count: int, sides: dict[str, tuple[tuple[str, ...], str]], prefix: str) -> Rows:
    """Return mean time of each side over the architectures, and beside that of the first one."""
    probe = load_probe("noise", "", BATCH, 0)
    rng = random.Random(2)
    networks = [build_network(space, space.sample(rng), 0, 10) for _ in range(count)]
    networks = [network.to(memory_format=torch.channels_last) for network in networks]
    rows = []
    base = 0.0
    for label, (names, cost) in sides.items():
        mean = statistics.fmean(medians([partial(compute_scores, network, probe, names)])[0] for network in networks)
        base = base or mean
        rows.append((prefix + label, f"{1e3 * mean:.1f} ms", f"{mean / base:.2f} x naswot; {cost}"))
    return rows


def fidelity_rows(count: int = 200) -> Rows:
    """Return Kendall's tau between the rankings in bf16 and in float32."""
    probe = load_probe("noise", "", BATCH, 0, probe_size=16)
    exact, rough = ScoreEvaluator(SPACE, [probe]), ScoreEvaluator(SPACE, [probe], precision="bf16")
    rng = random.Random(1)
    both = [(exact(a).scores["naswot"], rough(a).scores["naswot"]) for a in (SPACE.sample(rng) for _ in range(count))]
    pairs = [(a, b) for a, b in both if a is not None and b is not None]
    tau = kendall_tau([a for a, _ in pairs], [b for _, b in pairs])
    return [(f"bf16 ranking of {len(pairs)} networks", "", f"Kendall tau to float32 {tau:.4f}")]
