"""What networks cost: their size, and their latency as a table says it; for budgets and for objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from naswot_lightning.benchmarks.known_space import open_for
from naswot_lightning.columns import COSTS, LATENCY_MS, MACS, MODEL_MB, PARAMS, PEAK_MEMORY_MB
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.probe import Probe
from naswot_lightning.errors import UserError
from naswot_lightning.hardware.measure import peak_memory
from naswot_lightning.searching.algorithms.base import Cost
from naswot_lightning.spaces import Complexity, Space

# Networks that a cost is remembered of: a population, many times.
_KEPT = 1 << 16
_MEGA = 1e6


def costs_of(
    config: SearchConfig, space: Space, canonical: Callable[[str], str], load_probes: Callable[[], Sequence[Probe]]
) -> dict[str, Cost]:
    """Return what tells each cost of a candidate, by the name of its column; None where it is not known.

    What measures or predicts a cost is one more entry. Budgets, columns and objectives follow from its name.
    """

    # Parameters and MACs are asked for in turn.
    @lru_cache(maxsize=1)
    def complexity(architecture: str) -> Complexity:
        probe = load_probes()[0]
        return space.complexity(canonical(architecture), probe.num_classes, probe.images.shape[1], probe.image_size)

    @lru_cache(maxsize=_KEPT)
    def model_mb(architecture: str) -> float:
        probe = load_probes()[0]
        network = _untrained(space, canonical(architecture), probe)
        return sum(each.nbytes for each in (*network.parameters(), *network.buffers())) / _MEGA

    @lru_cache(maxsize=_KEPT)
    def peak_memory_mb(architecture: str) -> float:
        probe = load_probes()[0]
        network = _untrained(space, canonical(architecture), probe)
        return peak_memory(network, _like(network, batch_shape(config, probe))) / _MEGA

    costs: dict[str, Cost] = {
        PARAMS.name: lambda architecture: complexity(architecture).params,
        MACS.name: lambda architecture: complexity(architecture).macs,
        MODEL_MB.name: model_mb,
        PEAK_MEMORY_MB.name: peak_memory_mb,
    }
    if config.latency_table is not None:
        costs[LATENCY_MS.name] = _latencies(config.latency_table, space, canonical)
    return costs


def budgets_of(config: SearchConfig, costs: Mapping[str, Cost]) -> dict[str, float]:
    """Return the most of each cost by its name, infinity where it must only be known; UserError where nothing tells."""
    # A latency is looked up; for the others networks are built.
    budgets = {LATENCY_MS.name: math.inf} if LATENCY_MS.name in costs else {}
    for name in (LATENCY_MS.name, PARAMS.name, MACS.name, MODEL_MB.name, PEAK_MEMORY_MB.name):
        most = getattr(config, f"max_{name}")
        if most is not None and name not in costs:
            raise UserError(f"--max_{name} {most:g}: nothing tells the {COSTS[name].label}; give --latency_table FILE")
        budgets |= {} if most is None else {name: most}
    return budgets


def batch_shape(config: SearchConfig, probe: Probe) -> tuple[int, ...]:
    """Return the shape (N, C, H, W) of the images whose latency and memory are asked for."""
    return config.latency_batch, probe.images.shape[1], probe.image_size, probe.image_size


def _untrained(space: Space, architecture: str, probe: Probe) -> nn.Module:
    """Return the network, on the meta device where its space allows that."""
    with torch.random.fork_rng(devices=[]), torch.device("meta") if space.builds_on_meta else nullcontext():
        return space.build(architecture, probe.num_classes, probe.images.shape[1]).eval()


def _like(network: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return images of zeros where the network is."""
    return torch.zeros(shape, device=next((each.device for each in network.parameters()), None))


def _latencies(option: str, space: Space, canonical: Callable[[str], str]) -> Cost:
    """Return what looks latencies up: of the architecture as it is written, or else of its network alone."""
    whole = ":" not in option or Path(option).exists()
    path, column = (option, "") if whole else option.rsplit(":", 1)
    table = open_for(space, path, "--latency_table")
    column = column or (table.further[0] if len(table.further) == 1 else LATENCY_MS.name)
    if whole and len(table.further) > 1 and column not in table.further:
        named = f"name one, as {path}:{table.further[0]}"
        raise UserError(f"--latency_table {path}: no column {column}, but {', '.join(table.further)}; {named}")
    values = table.column(column)

    def latency(architecture: str) -> float | None:
        row = table.row(architecture)
        row = table.row(canonical(architecture)) if row is None else row
        # HW-NAS-Bench has -1 where the device cannot run a network; NaN is not known.
        return values.item(row) if row is not None and values.item(row) > 0 else None

    return latency
