"""From the settings of the command to a search: every name is resolved here, once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from naswot_lightning.benchmarks import Benchmark, open_benchmark
from naswot_lightning.benchmarks.known_space import space_of
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.columns import Criterion
from naswot_lightning.config import SearchConfig, SearchMachine, settings_affecting
from naswot_lightning.data.probe import Probe, draw_probe, load_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from naswot_lightning.execution import get_engine
from naswot_lightning.execution.base import Executor, ResourceRequest
from naswot_lightning.execution.resources import get_device, has_bf16_instructions
from naswot_lightning.scores.registry import parse_scores
from naswot_lightning.search.algorithms import get_algorithm
from naswot_lightning.search.algorithms.base import Algorithm, Limits, Proposal
from naswot_lightning.search.algorithms.random import Listed, Shard, list_space, read_architectures
from naswot_lightning.search.benchmark import BenchmarkLookup
from naswot_lightning.search.evaluators import get_evaluator
from naswot_lightning.search.evaluators.base import Evaluator, EvaluatorContext, MultiFidelityEvaluator
from naswot_lightning.search.evaluators.table import TableEvaluator
from naswot_lightning.search.loop import Loop
from naswot_lightning.search.simulation import Budget
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.storage.score_rows import ScoreRows
from spaces import Complexity, Space, get_space


@dataclass(frozen=True)
class Search:
    """A search, ready to run."""

    config: SearchConfig
    space: Space
    canonical: Callable[[str], str]
    """returns the architecture of the network that is evaluated for a candidate."""
    algorithm: Algorithm
    limits: Limits
    evaluator: Evaluator
    executor: Executor
    folder: RunFolder
    device: torch.device
    load_probes: Callable[[], Sequence[Probe]]
    benchmark: BenchmarkLookup | None
    """known accuracies of the candidates, for the ranking."""
    identity: Mapping[str, Any]
    """the settings that decide the results: the folder belongs to one set of them."""

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What the ranking is ordered by, and its further columns."""
        return self.evaluator.criteria

    @property
    def settings(self) -> dict[str, Any]:
        """All settings as they are saved: those of this command alone are not."""
        return asdict(self.config) | {"overwrite": False, "trust": False}

    def loop(self, finished: ScoreRows) -> Loop:
        """Return what runs it, from the rows that are finished."""
        return Loop(self.space.name, self.canonical, self.evaluator, self.executor, self.config.seed, finished)


def plan_search(config: SearchConfig, scored: bool = False) -> Search:
    """Return the search that ``config`` describes.

    Args:
        config: of the command.
        scored: all candidates are scored already, so that no device is opened and no engine is asked.

    Raises:
        UserError: an invalid name or number, or an unreadable file.
    """
    machine = SearchMachine(device="cpu", workers=1) if scored else config
    make_algorithm, options = get_algorithm(config.algorithm)
    make_evaluator, make_executor = get_evaluator(config.evaluator), get_engine(machine.engine)
    _expect_consistent(config)
    space = get_space(config.space)
    config = replace(config, space=space.name)  # the one spelling of its options
    device = get_device(machine.device)
    if config.precision == "bf16" and not scored and not has_bf16_instructions(device):
        slow = "this CPU has no bfloat16 instructions and is slower with it, up to 8 times; use 32"
        print(f"search.py: warning: --precision bf16: {slow}", file=sys.stderr)
    folder, load_probes, benchmark = RunFolder(config.run_dir), _cache_probes(config), _open_benchmark(config, space)
    if config.evaluator == "table" and benchmark is not None:
        space = space_of(benchmark, space)

    needs_scores = getattr(make_algorithm, "needs_initial_scores", False)
    criteria = tuple(parse_scores(config.score))
    if config.evaluator == "scores" or needs_scores:
        _expect_absolute(config, criteria[0])
    context = EvaluatorContext(config, space, criteria, device, load_probes, benchmark, needs_scores)
    evaluator = make_evaluator(context)
    executor = make_executor(_request(machine, device, folder, evaluator))

    canonical = space.canonical if config.canonical and config.evaluator != "table" else str

    def complexity(architecture: str) -> Complexity:
        probe = load_probes()[0]
        return space.complexity(canonical(architecture), probe.num_classes, probe.images.shape[1], probe.image_size)

    limits = Limits(config.max_params, config.max_macs, complexity)
    algorithm: Algorithm
    if config.architectures is not None:
        algorithm = Listed(read_architectures(space, config.architectures), limits)
    elif config.samples == "all":
        algorithm = Listed(list_space(space), limits)
    else:
        algorithm = make_algorithm(space, config.samples, config.seed, limits, **options)
    if config.budget is not None:
        algorithm = Budget(algorithm, config.budget)
    if part := config.part():
        algorithm = Shard(algorithm, canonical, *part)
    return Search(
        config=config,
        space=space,
        canonical=canonical,
        algorithm=algorithm,
        limits=limits,
        evaluator=evaluator,
        executor=executor,
        folder=folder,
        device=device,
        load_probes=load_probes,
        benchmark=_lookup(config, benchmark),
        identity=_identity(config, evaluator),
    )


def first_batch(search: Search) -> Sequence[Proposal]:
    """Return the first candidates of a search.

    Raises:
        UserError: there are none within its limits.
    """
    batch = search.algorithm.propose([])
    if not batch:
        raise UserError(f"{search.limits}; raise the limits")
    if search.limits.n_rejected:
        print(search.limits)
    return batch


def _identity(config: SearchConfig, evaluator: Evaluator) -> dict[str, Any]:
    """Return the settings that decide the candidates, and those that decide what the evaluator says of them."""
    affecting = settings_affecting(config, "candidates")
    if isinstance(evaluator, MultiFidelityEvaluator):
        affecting += settings_affecting(config, "training")
    if not isinstance(evaluator, MultiFidelityEvaluator) or evaluator.scorer:
        affecting += settings_affecting(config, "scores")
    return {name: getattr(config, name) for name in affecting}


def _expect_consistent(config: SearchConfig) -> None:
    """Raise :class:`UserError` where options exclude each other."""
    algorithm, evaluator = config.algorithm, config.evaluator
    if config.shard is not None and algorithm != "random":
        raise UserError(
            f"--shard {config.shard}: the candidates of --algorithm {algorithm} depend on the scores of all "
            "others; use --algorithm random, or give the candidates"
        )
    if algorithm != "random" and (config.architectures is not None or config.samples == "all"):
        option = "--samples all" if config.architectures is None else f"--architectures {config.architectures}"
        raise UserError(f"{option}: the candidates are given, but --algorithm {algorithm} finds its own; choose")
    if evaluator == "scores" and (config.epochs is not None or config.train):
        option = "--train" if config.epochs is None else f"--epochs {config.epochs}"
        raise UserError(f"{option}: it is of candidates that are trained; add --evaluator train, or leave it out")
    if evaluator not in ("scores", "train") and config.train:
        raise UserError(f"--train: --evaluator {evaluator} trains nothing; leave it out")


def _expect_absolute(config: SearchConfig, criterion: Criterion) -> None:
    """Raise :class:`UserError` where an algorithm would learn from a score that changes with the candidates."""
    if config.algorithm != "random" and criterion.is_relative:
        raise UserError(
            f"--score {criterion.name}: ranks by several scores change with each candidate, and --algorithm "
            f"{config.algorithm} learns from what they were; give a single score first, such as naswot, or use "
            "--algorithm random"
        )


def _cache_probes(config: SearchConfig) -> Callable[[], Sequence[Probe]]:
    """Return what loads a mini-batch of its own for each repeat, once, from a data set that is loaded once."""
    seeds = range(config.seed, config.seed + config.repeats)

    @lru_cache(maxsize=1)
    def load() -> Sequence[Probe]:
        if config.dataset == "noise" or config.repeats == 1:
            source = config.dataset, config.data_dir, config.batch_size
            rest = config.probe_size, config.image_size, config.split_file
            return [load_probe(*source, seed, *rest) for seed in seeds]
        dataset = load_dataset(config.dataset, config.data_dir, config.image_size, config.split_file)
        return [draw_probe(dataset, config.batch_size, seed, config.probe_size) for seed in seeds]

    return load


def _open_benchmark(config: SearchConfig, space: Space) -> Benchmark | None:
    """Return the table that is asked for; a CSV whose architectures do not tell their space is taken as the search's.

    Raises:
        UserError: it cannot be read, or is of another space.
    """
    if config.benchmark is None:
        return None
    try:
        benchmark = open_benchmark(config.benchmark)
    except UserError:
        benchmark = open_benchmark(config.benchmark, space.name)
    if get_space(benchmark.space).name.partition(":")[0] != space.name.partition(":")[0]:
        raise UserError(f"--benchmark {config.benchmark}: it is of {benchmark.space}, not of --space {space.name}")
    return benchmark


def _lookup(config: SearchConfig, benchmark: Benchmark | None) -> BenchmarkLookup | None:
    if benchmark is None:
        return None
    exact = config.benchmark_dataset is not None
    return BenchmarkLookup(benchmark, reported_target(benchmark, config.benchmark_dataset or config.dataset, exact))


def _request(machine: SearchMachine, device: torch.device, folder: RunFolder, evaluator: Evaluator) -> ResourceRequest:
    """Return what is asked of the engine; trainings are processes of their own, in the slots of this machine."""
    slots = getattr(evaluator, "slots", ())
    looks_up = isinstance(evaluator, TableEvaluator)  # in microseconds
    return ResourceRequest(
        workers=1 if looks_up else machine.workers,
        device=device,
        threads=slots[0].threads if slots else 1,
        runs_subprocess=bool(slots),
        slots=len(slots) or 1,
        timeout=None if looks_up else machine.timeout,
        folder=folder.path,
        options=machine.slurm,
    )
