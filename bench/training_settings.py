"""What makes a training step quicker on few cores: memory format, precision, compilation, a pick a core."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F

from bench.clock import Rows, medians
from naswot_lightning.networks import build_network
from naswot_lightning.spaces import get_space
from naswot_lightning.training.classifier import work_around_channels_last_bug

BATCH, STEPS, TURNS = 256, 6, 3
# The size of CIFAR-10's images, and of ImageNet16-120's; the middle of a search by the score.
ARCHITECTURE = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
SIZES = (32, 16)
# Picks of digits: steps that are so short that two threads wait for each other.
SMALL, SMALL_BATCH, SMALL_STEPS = 8, 64, 60
_Step = Callable[[], object]


def step_of(
    size: int, channels_last: bool = True, precision: str = "32", compiled: bool = False, batch: int = BATCH
) -> _Step:
    """Return what takes one step of SGD on a mini-batch that stays the same."""
    network = build_network(get_space("nasbench201"), ARCHITECTURE, 0, 10)
    memory = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=memory)
    network.to(memory_format=memory)
    if channels_last:
        work_around_channels_last_bug(network)
    run = torch.compile(network) if compiled else network
    labels = torch.randint(10, (batch,))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
            loss = F.cross_entropy(run(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


_SETTINGS = {
    "contiguous": {"channels_last": False},
    "channels_last, the default": {},
    "and --precision bf16-mixed": {"precision": "bf16"},
    "and --compile true": {"compiled": True},
    "and both": {"precision": "bf16", "compiled": True},
}


def setting_rows() -> Rows:
    """Compare one step at each setting, in turn in one process."""
    rows: Rows = []
    for size in SIZES:
        steps = [step_of(size, **settings) for settings in _SETTINGS.values()]  # type: ignore[arg-type]
        times = medians(steps, repeats=STEPS)
        names = (f"{size}x{size}, {name}" for name in _SETTINGS)
        rows += [
            (name, f"{1e3 * seconds:.0f} ms", f"{times[1] / seconds:.2f} x the steps")
            for name, seconds in zip(names, times, strict=True)
        ]
    return rows


def pick_rows() -> Rows:
    """Compare picks one after the other with all cores with one pick a core, in processes of their own."""
    rows: Rows = []
    cores = len(os.sched_getaffinity(0))
    for size, batch in (*((size, BATCH) for size in SIZES), (SMALL, SMALL_BATCH)):
        turns = [(_seconds(size, batch, 1, cores), _seconds(size, batch, cores, 1)) for _ in range(TURNS)]
        alone, aside = (sorted(side)[TURNS // 2] for side in zip(*turns, strict=True))
        gain = sorted(cores * one / many for one, many in turns)[TURNS // 2]
        rows += [
            (f"{size}x{size}, batch {batch}: a pick at a time, {cores} threads", f"{1e3 * alone:.3g} ms a step", "1"),
            (
                f"{cores} picks at a time, 1 thread each",
                f"{1e3 * aside:.3g} ms a step",
                f"{gain:.2f} x the picks an hour",
            ),
        ]
    return rows


def _seconds(size: int, batch: int, count: int, threads: int) -> float:
    """Return the seconds of a step where so many processes train at the same time."""
    program = [sys.executable, "-m", "bench.training_settings", str(size), str(batch)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    pipe, root = subprocess.PIPE, Path(__file__).parent.parent
    started = [
        subprocess.Popen(program, stdin=pipe, stdout=pipe, env=environment, cwd=root, text=True) for _ in range(count)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()  # it is warm
    return max(float(process.communicate("\n")[0]) for process in _all_begun(started))


def _all_begun(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return processes


def main(size: int, batch: int) -> None:
    """Be one of the processes: get warm, say so, wait to begin, and tell the seconds of a step."""
    step = step_of(size, batch=batch)
    steps = STEPS if batch == BATCH else SMALL_STEPS
    for _ in range(2):
        step()
    print("warm", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    print((time.perf_counter() - start) / steps, flush=True)


if __name__ == "__main__":
    from naswot_lightning.execution.worker import tune_process

    tune_process()
    main(*map(int, sys.argv[1:]))
