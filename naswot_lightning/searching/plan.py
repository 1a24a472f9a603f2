"""From settings to a search that is ready to run: every name is resolved here, once."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import lru_cache, partial

from naswot_lightning.analysis.pareto import Objective, directions_of, parse_objectives
from naswot_lightning.benchmarks.known_space import KnownSpace, open_for
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.columns import BENCHMARK_ACC, SIZES, Criterion
from naswot_lightning.config import SearchConfig
from naswot_lightning.data.own import dataset_name
from naswot_lightning.data.probe import Probe, probe_source
from naswot_lightning.errors import UserError
from naswot_lightning.execution.base import ResourceRequest
from naswot_lightning.execution.resources import has_bf16_instructions
from naswot_lightning.networks import get_device
from naswot_lightning.registry import resolve
from naswot_lightning.report.loggers import parse_loggers
from naswot_lightning.scores.registry import parse_scores
from naswot_lightning.searching.algorithms.base import Algorithm, Budget, Limits, get_algorithm
from naswot_lightning.searching.algorithms.random import Listed, Shard, read_architectures
from naswot_lightning.searching.costs import budgets_of, columns_of, costs_of
from naswot_lightning.searching.evaluators.base import Evaluator, EvaluatorContext
from naswot_lightning.searching.evaluators.table import BenchmarkLookup, TableEvaluator
from naswot_lightning.searching.loop import Search
from naswot_lightning.searching.measuring import measured_columns
from naswot_lightning.spaces import EnumerableSpace, Space, get_space, trust
from naswot_lightning.storage.run_folder import RunFolder


def plan_search(config: SearchConfig, scored: bool = False) -> Search:
    """Return the search of these settings; where all is ``scored`` already, it opens no device and no engine."""
    machine = replace(config, device="cpu", engine="local", workers=1, timeout=None, slurm={}) if scored else config
    make_algorithm, options = get_algorithm(config.algorithm)
    make_evaluator, make_executor = resolve("evaluator", config.evaluator), resolve("engine", machine.engine)
    criteria = tuple(parse_scores(config.score))
    needs_scores = getattr(make_algorithm, "needs_initial_scores", False)
    _expect_consistent(config, criteria[0], needs_scores)
    parse_loggers(config.logger)
    space = get_space(config.space)
    # Whoever plans a search vouches for the code that its settings name.
    trust(config.dataset)
    # The one spelling of the options of a space, and of a data set.
    config = replace(config, space=space.name, dataset=dataset_name(config.dataset))
    device = machine.device
    if not scored:
        config = replace(config, device=_kind_of_device(config))
    benchmark = None if config.benchmark is None else open_for(space, config.benchmark, "--benchmark")
    if config.evaluator == "table" and benchmark is not None:
        space = KnownSpace(benchmark, space)
    load_probes = _cache_probes(config)
    evaluator = make_evaluator(EvaluatorContext(config, space, criteria, device, load_probes, benchmark, needs_scores))
    canonical = space.canonical if config.canonical and config.evaluator != "table" else str

    scores = {each.name for each in evaluator.criteria}
    of_tables = columns_of(config, space, canonical, benchmark)
    costs = {name: cost for name, cost in of_tables.items() if name not in scores}
    costs |= costs_of(config, space, canonical, load_probes)
    further = [*costs, *measured_columns(config), *([] if benchmark is None else [BENCHMARK_ACC.name])]
    objectives = parse_objectives(config.objectives, directions_of(evaluator.criteria, further))
    budgets = budgets_of(config, costs, objectives)
    if objectives:
        # With their directions, for the files of the run.
        config = replace(config, objectives=",".join(map(str, objectives)))
    if getattr(make_algorithm, "needs_objectives", False):
        _expect_learnable(objectives, evaluator, costs)
        # It cannot learn from a candidate whose objectives a table does not know.
        budgets = {each.name: math.inf for each in objectives if each.name in of_tables} | budgets
        options = {**options, "objectives": objectives}
    limits = Limits(budgets, costs)
    algorithm = _plan_algorithm(config, space, limits, partial(make_algorithm, **options))
    if part := config.part():
        algorithm = Shard(algorithm, canonical, *part)
    lookup = None
    if benchmark is not None:
        dataset = config.benchmark_dataset or config.dataset
        lookup = BenchmarkLookup(benchmark, reported_target(benchmark, dataset, config.benchmark_dataset is not None))
    folder = RunFolder(config.run_dir)
    executor = make_executor(_request(machine, folder, evaluator))
    found = config, space, canonical, algorithm, limits, objectives
    return Search(*found, evaluator, executor, folder, device, load_probes, lookup)


def _plan_algorithm(
    config: SearchConfig, space: Space, limits: Limits, make_algorithm: Callable[..., Algorithm]
) -> Algorithm:
    """Return the algorithm, or the list of given candidates, within the budget of time."""
    algorithm: Algorithm
    if config.architectures is not None:
        algorithm = Listed(read_architectures(space, config.architectures), limits)
    elif config.samples != "all":
        algorithm = make_algorithm(space, config.samples, config.seed, limits)
    elif isinstance(space, EnumerableSpace):
        algorithm = Listed(list(space), limits)
    else:
        raise UserError(f"--samples all: {space.name} cannot be enumerated; give a number")
    return algorithm if config.budget is None else Budget(algorithm, config.budget)


def _expect_consistent(config: SearchConfig, criterion: Criterion, needs_scores: bool) -> None:
    """Raise :class:`UserError` where options exclude each other."""
    algorithm, evaluator = config.algorithm, config.evaluator
    if config.workers is not None and config.workers_per_gpu is not None:
        raise UserError(f"--workers {config.workers} --workers_per_gpu {config.workers_per_gpu}: give only one of them")
    if config.shard is not None and algorithm != "random":
        depend = f"the candidates of --algorithm {algorithm} depend on the scores of all others"
        raise UserError(f"--shard {config.shard}: {depend}; use --algorithm random or --architectures")
    if algorithm != "random" and (config.architectures is not None or config.samples == "all"):
        option = "--samples all" if config.architectures is None else f"--architectures {config.architectures}"
        raise UserError(
            f"{option}: leave it out, or leave out --algorithm {algorithm}, which proposes its own candidates"
        )
    if evaluator == "scores" and (config.epochs is not None or config.train):
        option = "--train" if config.epochs is None else f"--epochs {config.epochs}"
        raise UserError(
            f"{option}: applies only to candidates that are trained; add --evaluator train, or leave it out"
        )
    if evaluator not in ("scores", "train") and config.train:
        raise UserError(f"--train: --evaluator {evaluator} trains nothing; leave it out")
    # An algorithm cannot learn from a score that changes with the candidates.
    if criterion.is_relative and algorithm != "random" and (evaluator == "scores" or needs_scores):
        learns = f"ranks by several scores change with each candidate, and --algorithm {algorithm} learns from them"
        cure = "give a single score first, such as naswot, or use --algorithm random"
        raise UserError(f"--score {criterion.name}: {learns}; {cure}")


def _expect_learnable(objectives: Sequence[Objective], evaluator: Evaluator, costs: Collection[str]) -> None:
    """Raise :class:`UserError` where an objective is not known of a candidate by itself, once it is finished."""
    for each in objectives:
        if each.name not in (*(column.name for column in evaluator.columns), *SIZES, *costs):
            own = f"{each.name} is known only once all candidates are scored"
            raise UserError(f"--objectives {each}: {own}; --algorithm nsga2 takes single scores, sizes and costs")


def _kind_of_device(config: SearchConfig) -> str:
    """Return the kind of device, which is saved as CPUs and GPUs round differently; warn where bfloat16 is slow."""
    # Of another machine only its name is known here.
    if config.engine != "local":
        return config.device.partition(":")[0]
    device = get_device(config.device)
    if config.precision == "bf16" and not has_bf16_instructions(device):
        slow = "this CPU has no bfloat16 instructions and runs up to 8 times slower with it; use 32"
        print(f"naswot search: warning: --precision bf16: {slow}", file=sys.stderr)
    return device.type


def _cache_probes(config: SearchConfig) -> Callable[[], Sequence[Probe]]:
    """Return what loads a mini-batch of its own for each repeat, once, from a data set that is loaded once."""
    seeds = range(config.seed, config.seed + config.repeats)

    @lru_cache(maxsize=1)
    def load() -> Sequence[Probe]:
        draw = probe_source(config.dataset, config.data_dir, config.image_size, config.split_file)
        return [draw(config.batch_size, seed, config.probe_size) for seed in seeds]

    return load


def _request(machine: SearchConfig, folder: RunFolder, evaluator: Evaluator) -> ResourceRequest:
    """Return the request to the engine; trainings are processes of their own, in the slots of this machine."""
    slots = getattr(evaluator, "slots", ())
    # A table is looked up in microseconds.
    looks_up = isinstance(evaluator, TableEvaluator)
    return ResourceRequest(
        workers=1 if looks_up else machine.workers,
        workers_per_gpu=machine.workers_per_gpu,
        device=machine.device,
        threads=slots[0].threads if slots else 1,
        runs_subprocess=bool(slots),
        slots=len(slots) or 1,
        timeout=None if looks_up else machine.timeout,
        folder=folder.path,
        options=machine.slurm,
    )
