"""Costs of networks for budgets and objectives: sizes, memory, and columns of tables such as latencies."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from naswot_lightning.analysis.pareto import Objective
from naswot_lightning.benchmarks.known_space import open_for
from naswot_lightning.benchmarks.table import Table
from naswot_lightning.columns import (
    BENCHMARK_ACC,
    COSTS,
    LATENCY_MS,
    MACS,
    MODEL_MB,
    PARAMS,
    PARETO_RANK,
    PEAK_MEMORY_MB,
    PREDICTED_LATENCY_MS,
    SIZES,
    budget_of,
    is_cost,
)
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.probe import Probe
from naswot_lightning.errors import UserError
from naswot_lightning.hardware.measure import peak_memory, zeros_for
from naswot_lightning.ranking import COLUMNS
from naswot_lightning.searching.algorithms.base import Cost
from naswot_lightning.searching.measuring import device_of
from naswot_lightning.searching.predicting import PredictedLatency
from naswot_lightning.spaces import Complexity, Space

# Networks whose costs are cached: a population, many times.
_KEPT = 1 << 16
_MEGA = 1e6
# At the end of the name of a column that is no latency in milliseconds.
_OTHER_UNITS = re.compile(r"_(ns|us|s|sec|secs|seconds|m?j|m?w|fps|energy)$", re.IGNORECASE)
# Values in a batch of images; of more, a pass takes longer than one on the meta device (30 to 100 ms).
_LARGE = 1 << 15


def costs_of(
    config: SearchConfig, space: Space, canonical: Callable[[str], str], load_probes: Callable[[], Sequence[Probe]]
) -> dict[str, Cost]:
    """Return a function for each cost by the name of its column: from an architecture to the cost, None if unknown.

    A new cost is one more entry: budgets, columns and objectives follow from its name.
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
        shape = batch_shape(config, probe)
        network = _untrained(space, canonical(architecture), probe, meta=math.prod(shape) > _LARGE)
        return peak_memory(network, zeros_for(network, shape)) / _MEGA

    costs: dict[str, Cost] = {
        PARAMS.name: lambda architecture: complexity(architecture).params,
        MACS.name: lambda architecture: complexity(architecture).macs,
        MODEL_MB.name: model_mb,
        PEAK_MEMORY_MB.name: peak_memory_mb,
    }
    if config.latency == "predicted":
        costs[PREDICTED_LATENCY_MS.name] = _predicted(config, space, canonical, load_probes)
    return costs


def budgets_of(config: SearchConfig, costs: Mapping[str, Cost], objectives: Sequence[Objective]) -> dict[str, float]:
    """Return the upper bound of each cost by its name, infinity for one that must only be known.

    A bound on a cost that no table or prediction gives is a UserError.
    """
    own, table = [name for name in costs if name not in (*SIZES, *COSTS)], config.latency_table
    asked = config.max_latency_ms is not None or all(each.name not in own for each in objectives)
    if table is not None and LATENCY_MS.name not in costs and asked:
        named = f"name one, such as {table}:{own[0]}"
        raise UserError(f"--latency_table {table}: has no column {LATENCY_MS.name}, only {', '.join(own)}; {named}")
    # The cheapest first: a table is looked up, for sizes networks are built, and a prediction takes longest.
    from_table = config.latency_table is not None and LATENCY_MS.name in costs
    budgets = {LATENCY_MS.name: math.inf} if from_table else {}
    predicted = PREDICTED_LATENCY_MS.name in costs
    sizes = PARAMS.name, MACS.name, MODEL_MB.name, PEAK_MEMORY_MB.name
    for name in (*sizes, LATENCY_MS.name) if predicted else (LATENCY_MS.name, *sizes):
        most, cost = getattr(config, budget_of(name)), f"predicted_{name}" if f"predicted_{name}" in costs else name
        if most is not None and cost not in costs:
            cure = "give --latency_table FILE, or --latency predicted"
            raise UserError(f"--{budget_of(name)} {most:g}: the {COSTS[name].label} of candidates is not known; {cure}")
        if most == 0:
            raise UserError(f"--{budget_of(name)} 0: expected more than 0")
        budgets |= {} if most is None else {cost: most}
    return budgets


def _predicted(
    config: SearchConfig, space: Space, canonical: Callable[[str], str], load_probes: Callable[[], Sequence[Probe]]
) -> PredictedLatency:
    if config.latency_table is not None or config.latency_runtime != "torch":
        other = "--latency_table" if config.latency_table is not None else f"--latency_runtime {config.latency_runtime}"
        raise UserError(f"--latency predicted: predicts latencies of --latency_runtime torch, so leave out {other}")
    if config.latency_precision != "32" or config.latency_channels_last:
        raise UserError(
            "--latency predicted: leave out --latency_precision and --latency_channels_last, or use --measure latency"
        )
    if config.shard is not None and config.max_latency_ms is not None:
        raise UserError(
            f"--shard {config.shard}: each machine would predict other latencies; use --latency_table instead of "
            "--latency"
        )

    def shape() -> tuple[int, ...]:
        return batch_shape(config, load_probes()[0])

    def build(architecture: str, recorded: bool = False) -> nn.Module:
        return _untrained(space, architecture, load_probes()[0], meta=recorded and math.prod(shape()) > _LARGE)

    saved = Path(config.run_dir) / "operators.json"
    return PredictedLatency(device_of(config), space, canonical, build, shape, saved)


def batch_shape(config: SearchConfig, probe: Probe) -> tuple[int, ...]:
    """Return the shape (N, C, H, W) of the images whose latency and memory are asked for."""
    return config.latency_batch, probe.images.shape[1], probe.image_size, probe.image_size


def _untrained(space: Space, architecture: str, probe: Probe, meta: bool = True) -> nn.Module:
    """Return the network, on the meta device where its space allows that and no weights are needed."""
    with torch.random.fork_rng(devices=[]), torch.device("meta") if meta and space.builds_on_meta else nullcontext():
        return space.build(architecture, probe.num_classes, probe.images.shape[1]).eval()


def columns_of(
    config: SearchConfig, space: Space, canonical: Callable[[str], str], benchmark: Table | None
) -> dict[str, Cost]:
    """Return a function for each further column of ``--benchmark`` and ``--latency_table`` that looks up its values.

    One column of the latter is the latency, too, unless the objectives name its columns themselves.
    """
    costs = dict[str, Cost]()
    if benchmark is not None:
        costs = {each: _looked_up(benchmark, each, canonical, config.benchmark_dataset) for each in benchmark.further}
    if (option := config.latency_table) is not None:
        whole = ":" not in option or Path(option).exists()
        path, column = (option, "") if whole else option.rsplit(":", 1)
        table = open_for(space, path, "--latency_table")
        costs |= {each: _looked_up(table, each, canonical) for each in table.further}
        if latency := column or _latency_column(table, config.objectives):
            costs[LATENCY_MS.name] = _looked_up(table, latency, canonical, positive=True)
    # The ranking's own columns keep their names.
    return {name: cost for name, cost in costs.items() if name not in (*COLUMNS, PARETO_RANK, BENCHMARK_ACC.name)}


def _latency_column(table: Table, objectives: str | None) -> str | None:
    """Return the column that holds the latency where none is named; None if unclear, or if objectives name it."""
    if LATENCY_MS.name in table.further or not table.further:
        return LATENCY_MS.name
    named = {word.strip().partition(":")[0] for word in (objectives or "").split(",")}
    of_time = not _OTHER_UNITS.search(table.further[0])
    return table.further[0] if len(table.further) == 1 and named.isdisjoint(table.further) and of_time else None


def _looked_up(
    table: Table, column: str, canonical: Callable[[str], str], dataset: str | None = None, positive: bool = False
) -> Cost:
    """Return a function that looks up a column by the architecture as written, or else by its canonical form."""
    values, positive = lru_cache(maxsize=1)(lambda: table.column(column, dataset)), positive or is_cost(column)

    def look_up(architecture: str) -> float | None:
        row = table.row(architecture)
        row = table.row(canonical(architecture)) if row is None else row
        value = math.nan if row is None else values().item(row)
        # HW-NAS-Bench has -1 where the device cannot run a network; NaN is not known.
        return None if math.isnan(value) or (positive and value <= 0) else value

    return look_up
