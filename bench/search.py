"""Whole searches: what they cost beside their candidates, and by different engines, in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from bench.clock import Rows
from naswot_lightning.config import SearchConfig, WandbConfig
from naswot_lightning.searching.algorithms.base import architecture_of
from naswot_lightning.searching.plan import plan_search

CANDIDATES, WORKERS, TURNS = 500, 2, 3
SETS = ("digits", "noise")
_SEARCH = Path(__file__).parents[1] / "search.py"


def overhead_rows(samples: int = 100) -> Rows:
    """Return the share of a search outside building and scoring its candidates."""
    with tempfile.TemporaryDirectory() as folder:
        search = plan_search(
            SearchConfig(samples=samples, batch_size=32, workers=1, run_dir=folder, wandb=WandbConfig("disabled"))
        )
        first = search.algorithm.propose([])
        search.evaluator(architecture_of(first[0]))  # loads and compiles
        with search.loop() as loop:
            start = time.perf_counter()
            loop.run(search.algorithm, first)
            total = time.perf_counter() - start
            inside = sum(row.seconds for row in loop.finished.rows)
    return [
        (
            f"search of {samples} candidates",
            f"{total:.2f} s",
            f"{100 * (1 - inside / total):.2f} % outside building and scoring",
        )
    ]


def engine_rows(candidates: int = CANDIDATES, turns: int = TURNS, sets: tuple[str, ...] = SETS) -> Rows:
    """Compare the seconds of a search by Ray, which the command starts and ends, with one by local processes.

    Raises:
        RuntimeError: the rankings differ.
    """
    if find_spec("ray") is None:
        return [("--engine ray", "-", "pip install 'naswot-lightning[ray]'")]
    rows: Rows = []
    for dataset in sets:
        pairs = [_in_turn(dataset, candidates) for _ in range(turns)]
        local, ray = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
        ratios = [ray / local for local, ray in pairs]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        name = f"{candidates} candidates, {dataset}, {WORKERS} workers, --engine"
        rows += [
            (f"{name} local", f"{local:.1f} s", "1"),
            (f"{name} ray", f"{ray:.1f} s", spread),
        ]
    return rows


def _in_turn(dataset: str, candidates: int) -> tuple[float, float]:
    """Return the seconds of a search by local processes and by Ray."""
    with tempfile.TemporaryDirectory() as name:
        folders = {engine: Path(name) / engine for engine in ("local", "ray")}
        local, ray = (_seconds(engine, dataset, candidates, folder) for engine, folder in folders.items())
        if len({(folder / "ranking.json").read_bytes() for folder in folders.values()}) > 1:
            raise RuntimeError(f"the rankings of {candidates} candidates by local processes and by Ray differ")
    return local, ray


def _seconds(engine: str, dataset: str, candidates: int, folder: Path) -> float:
    options = {
        "engine": engine, "dataset": dataset, "samples": candidates, "workers": WORKERS, "run_dir": folder,
        "wandb.mode": "disabled", "device": "cpu",
    }  # fmt: skip
    command = [sys.executable, str(_SEARCH), *(f"--{option}={value}" for option, value in options.items())]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start
