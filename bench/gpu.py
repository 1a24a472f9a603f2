"""What only a machine with a GPU can show, in less than four minutes: ``python -m bench gpu``.

Codes and scores against those of the CPU, milliseconds per part of a candidate beside the published procedure,
candidates a second, a pick that is trained in float32 and bf16. ``--device cpu`` runs it with small sizes, to try it.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import naswot_lightning
from bench.clock import medians
from bench.published import published_score
from bench.scoring import bare_forward
from bench.workers import rate, spans
from naswot_lightning.analysis.statistics import kendall_tau
from naswot_lightning.console import print_table
from naswot_lightning.data.probe import Probe, load_probe
from naswot_lightning.errors import UserError, describe_error
from naswot_lightning.execution.resources import accelerators
from naswot_lightning.naswot import Precision, activation_kernel
from naswot_lightning.naswot.compiled.codes import CodeDistances, ProductDistances
from naswot_lightning.networks import build_network, get_device, move_network, moved_together
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.scores.registry import REGISTERED, compute_scores
from naswot_lightning.spaces import get_space
from naswot_lightning.storage.files import write_json

SPACE = get_space("nasbench201")
_TABLES = ("metrics", "trajectory")


@dataclass(frozen=True)
class Figure:
    """A number, and whether it contradicts what the package promises."""

    name: str
    value: float | None
    unit: str = ""
    note: str = ""
    is_wrong: bool = False


@dataclass(frozen=True)
class Sizes:
    """How much is measured: networks that are compared, and timed, so many times each; candidates per worker."""

    batch: int = 128
    side: int = 32
    networks: int = 12
    timed: int = 5
    workers: tuple[int, ...] = (1, 4, 8)
    candidates: int = 40
    epochs: int = 4

    @property
    def probe(self) -> Probe:
        """The mini-batch, on the CPU."""
        return load_probe("noise", "", self.batch, 0, probe_size=self.side)


SMALL = Sizes(batch=16, side=8, networks=3, timed=1, workers=(1, 2), candidates=6, epochs=2)


def architectures(count: int, seed: int) -> list[str]:
    """Return some of NAS-Bench-201."""
    rng = random.Random(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def exactness(device: torch.device, sizes: Sizes) -> Iterator[Figure]:
    """Compare codes and scores with those of the CPU."""
    for units in (700, 16_384, 70_000):
        values = torch.randn(sizes.batch, units, generator=torch.Generator().manual_seed(0))
        packed, product = CodeDistances(sizes.batch), ProductDistances(sizes.batch, device)
        packed.add(values)
        with torch.autocast(device.type, torch.bfloat16):
            product.add(values.to(device))
            wrong = int((packed.kernel().matrix != units - product.result()[0]).sum())
        yield Figure(f"codes of {units:,} units, in autocast", wrong, "wrong", is_wrong=wrong > 0)
    names, there = architectures(sizes.networks, 0), sizes.probe.to(device)

    def scores(probe: Probe, precision: Precision = "32") -> list[tuple[float, int]]:
        networks = [_built(name, probe.images.device) for name in names]
        found = [activation_kernel(network, probe.images, precision=precision) for network in networks]
        return [(kernel.logdet(), kernel.n_units) for kernel in found]

    expected, own = scores(sizes.probe), scores(there)
    for precision, found in (("32", own), ("bf16", scores(there, "bf16"))):
        both = [(a, b) for (a, _), (b, _) in zip(expected, found, strict=True) if math.isfinite(a + b)]
        tau = kendall_tau([a for a, _ in both], [b for _, b in both])
        apart, units_differ = max(abs(a - b) for a, b in both), [n for _, n in expected] != [n for _, n in found]
        note = f"at most from the CPU's in 32; Kendall tau {tau}"
        yield Figure(f"scores in {precision}", apart, "apart", note, units_differ)
    changed = sum(a != b for a, b in zip(own, scores(there), strict=True))
    yield Figure("scores that are others when computed again", changed, is_wrong=changed > 0)
    ours, theirs = (compute_scores(_built(names[0], p.images.device), p, [*REGISTERED]) for p in (there, sizes.probe))
    far = [name for name, value in ours.items() if not np.isclose(value, theirs[name], rtol=0.01)]
    note = ", ".join(f"{name} {ours[name]:.6g} for {theirs[name]:.6g}" for name in far)
    yield Figure(f"of {len(ours)} kinds of scores, not the CPU's within 1 %", len(far), "", note, bool(far))


def _built(architecture: str, device: torch.device) -> nn.Module:
    return move_network(build_network(SPACE, architecture, 0, 10), device, SPACE.channels_last)


def parts(device: torch.device, sizes: Sizes) -> Iterator[Figure]:
    """Take the time of each part of a candidate, and of the published procedure."""
    warnings.filterwarnings("ignore", ".*non-full backward hook.*")
    evaluator = ScoreEvaluator(SPACE, [sizes.probe], device=device)
    evaluator.prepare()
    names = architectures(sizes.timed, 1)
    measured = [_milliseconds(name, evaluator, sizes.timed) for name in names]
    typical = {side: statistics.median(each[side] for each in measured) for side in measured[0]}
    for side, milliseconds in typical.items():
        yield Figure(side, milliseconds, "ms")
    ours, published = typical["a whole candidate"], typical["published procedure, with build"]
    yield Figure("published procedure, one process", 1e3 / published, "candidates/s", f"{published / ours:.1f} x ours")
    if device.type == "cuda":
        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
            evaluator(names[0])
            torch.cuda.synchronize(device)
        # In microseconds.
        kernels = [event.device_time_total for event in seen.events() if event.device_type.name == "CUDA"]
        yield Figure("GPU busy in a candidate", sum(kernels) / 10 / ours, "%", f"{len(kernels)} kernels and copies")


def _milliseconds(name: str, evaluator: ScoreEvaluator, repeats: int) -> dict[str, float]:
    device, images = evaluator.device, evaluator.probes[0].images
    network, on_cpu = _built(name, device), build_network(SPACE, name, 0, 10)
    kernel = activation_kernel(network, images)
    tensors = [each.detach() for each in (*on_cpu.parameters(), *on_cpu.buffers())]
    layers = [each for each in on_cpu.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    sides: dict[str, Callable[[], object]] = {
        "build": lambda: build_network(SPACE, name, 0, 10),
        "  of it drawing weights": lambda: [each.reset_parameters() for each in layers],
        "copy to the device": lambda: moved_together(tensors, device),
        "forward pass alone": lambda: bare_forward(network, images),
        "pass with codes and kernel": lambda: activation_kernel(network, images),
        "log-determinant": kernel.logdet,
        "a whole candidate": lambda: evaluator(name),
        "published procedure, with build": lambda: published_score(
            build_network(SPACE, name, 0, 10).to(device), images.contiguous()
        ),
    }
    seconds = medians([partial(_run_to_the_end, each, device) for each in sides.values()], repeats)
    return {side: 1e3 * each for side, each in zip(sides, seconds, strict=True)}


def _run_to_the_end(run: Callable[[], object], device: torch.device) -> None:
    run()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def throughput(device: torch.device, sizes: Sizes) -> Iterator[Figure]:
    """Count candidates a second of several workers on one device."""
    place = accelerators(device.type)[:1] or [{}]
    precision: Precision
    for precision, scores, counts in (
        ("32", ["naswot"], sizes.workers),
        ("bf16", ["naswot", "swap"], sizes.workers[-1:]),
    ):
        evaluator = ScoreEvaluator(SPACE, [sizes.probe], scores, device=device.type, precision=precision)
        for count in counts:
            _, found = spans(evaluator, architectures(count * sizes.candidates, 2), count, place)
            yield Figure(f"{' and '.join(scores)} in {precision}, workers: {count}", rate(found), "candidates/s")


def training(device: torch.device, sizes: Sizes) -> Iterator[Figure]:
    """Search, and train the best network in float32, in bf16, and on two GPUs where there are two."""
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    ways: dict[str, dict[str, Any]] = {"32": {}, "bf16": {"precision": "bf16-mixed"}}
    if gpus > 1:
        ways["DDP, two GPUs"] = {"devices": 2, "strategy": "ddp"}
    wandb, accelerator = {"mode": "disabled"}, "gpu" if gpus else device.type
    with tempfile.TemporaryDirectory() as place:
        run = f"{place}/run"
        ranking = naswot_lightning.search(
            samples=4, batch_size=sizes.batch, device=str(device), workers=1, run_dir=run, wandb=wandb
        )
        for way, options in ways.items():
            pick = replace(ranking.top(1), run_dir=Path(shutil.copytree(run, f"{place}/{way}")))
            options |= {"epochs": sizes.epochs, "batch_size": 32, "accelerator": accelerator, "wandb": wandb}
            folder = naswot_lightning.train(pick, **options).run_dir
            metrics, points = (pd.read_csv(next(folder.glob(f"picks/*/{name}.csv"))) for name in _TABLES)
            step = 1e3 * metrics["seconds"].iloc[-1] / metrics["step"].diff().iloc[-1]
            yield Figure(f"a pick in {way}", step, "ms/step")
            apart = abs(float(points["score"][0] - ranking.best["score"]))
            yield Figure("  its first score and the search's", apart, "apart", f"{len(points)} points", apart > 0.1)
    if gpus < 2:
        yield Figure("a pick in DDP", None, "", f"not run: {gpus} GPUs")


def main(words: Sequence[str]) -> int:
    """Print a table and write a file; return 0, 1 where something is wrong, 2 where there is no such device."""
    parser = argparse.ArgumentParser("python -m bench gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path, default="gpu.json", help="the file that is written (%(default)s)")
    given = parser.parse_args(words)
    try:
        device = get_device(given.device)
        if not given.json.parent.is_dir():
            raise UserError(f"--json {given.json}: there is no folder {given.json.parent}")
    except UserError as error:
        print(f"bench: error: {error}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for section in (exactness, parts, throughput, training):
        start = time.perf_counter()
        try:
            figures.extend(section(device, SMALL if device.type == "cpu" else Sizes()))
        except Exception as error:  # noqa: BLE001 - the next sections are worth having
            figures.append(Figure(section.__name__, None, "", f"FAILED: {describe_error(error)}", is_wrong=True))
        figures.append(Figure(f"{section.__name__} took", time.perf_counter() - start, "s"))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    title = f"{device}: {name}; torch {torch.__version__}; {torch.get_num_threads()} threads"
    shown = ["-" if each.value is None else f"{each.value:.4g} {each.unit}" for each in figures]
    notes = ["WRONG " * each.is_wrong + each.note for each in figures]
    print_table(title, ("figure", "value", "note"), zip([each.name for each in figures], shown, notes, strict=True))
    write_json(given.json, {"machine": title, "figures": [asdict(figure) for figure in figures]})
    return int(any(figure.is_wrong for figure in figures))
