"""From the settings of the command to a search: every name is resolved here, once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from naswot_lightning.benchmarks import Benchmark, open_benchmark
from naswot_lightning.benchmarks.known_space import space_of
from naswot_lightning.benchmarks.targets import reported_target
from naswot_lightning.columns import Criterion
from naswot_lightning.config import SearchConfig, SearchMachine, WandbConfig
from naswot_lightning.data.probe import Probe, draw_probe, load_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from naswot_lightning.execution import get_engine
from naswot_lightning.execution.base import Executor, ResourceRequest
from naswot_lightning.execution.resources import get_device, has_bf16_instructions, warn_of_slow_bf16
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.scores.registry import parse_scores
from naswot_lightning.search.algorithms import get_algorithm
from naswot_lightning.search.algorithms.base import Algorithm
from naswot_lightning.search.algorithms.listed import Listed, enumerated, given
from naswot_lightning.search.calibration import Calibration, Setting
from naswot_lightning.search.evaluators import get_evaluator
from naswot_lightning.search.evaluators.base import Conditions, Evaluator, score_evaluator
from naswot_lightning.search.evaluators.table import TableEvaluator
from naswot_lightning.search.known import Known
from naswot_lightning.search.limits import Limits
from naswot_lightning.search.shards import Shard
from naswot_lightning.search.simulation import Budget
from naswot_lightning.search.trial import Proposal
from naswot_lightning.storage.run_folder import RunFolder
from spaces import Complexity, Space, get_space

# Settings that decide the candidates; those that decide their scores are the evaluator's.
_OF_CANDIDATES = (
    "space", "samples", "architectures", "max_params", "max_macs", "algorithm", "seed", "canonical", "evaluator",
    "shard", "budget",
)  # fmt: skip
_IMAGES = ("dataset", "data_dir", "image_size", "split_file")
_OF_SCORES = ("dataset", "image_size", "batch_size", "probe_size", "score", "repeats", "precision")


@dataclass(frozen=True)
class Search:
    """A search, ready to run.

    Attributes:
        space: the search space.
        canonical: the architecture of the network that is evaluated for a candidate.
        algorithm: what proposes candidates.
        shard: the same, where it proposes one part of them.
        limits: what it keeps to.
        evaluator: what says how good an architecture is.
        executor: what runs the evaluator.
        seed: of the run.
        dataset: the name of the data set, for the report.
        top: how many of the ranking to print.
        folder: where the files lie.
        settings: all settings, saved there.
        identity: those that decide the results.
        overwrite: begin anew where they differ from the folder's.
        calibrate: how to score at other settings, where that is asked for instead of a search.
        benchmark: what is known of the candidates, for the ranking.
        wandb: where the run is shown.
    """

    space: Space
    canonical: Callable[[str], str]
    algorithm: Algorithm
    shard: Shard | None
    limits: Limits
    evaluator: Evaluator
    executor: Executor
    seed: int
    dataset: str
    top: int
    folder: RunFolder
    settings: Mapping[str, Any]
    identity: Mapping[str, Any]
    overwrite: bool
    calibrate: Calibration | None
    benchmark: Known | None
    wandb: WandbConfig

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """What the ranking is ordered by, and its further columns."""
        return self.evaluator.criteria


def plan_search(config: SearchConfig, scored: bool = False) -> Search:
    """Return the search that ``config`` describes.

    Args:
        config: of the command.
        scored: all candidates are scored already, so that no device is opened and no engine is asked.

    Raises:
        UserError: a name, a number or a file of it is at fault.
    """
    machine = SearchMachine(device="cpu", workers=1) if scored else config
    make_algorithm = get_algorithm(config.algorithm)
    make_evaluator, make_executor = get_evaluator(config.evaluator), get_engine(machine.engine)
    _expect_no_feedback(config)
    _expect_training(config)
    space = get_space(config.space)
    config = replace(config, space=space.name)  # the one spelling of its options
    device = get_device(machine.device)
    if config.precision == "bf16" and not scored and (warning := warn_of_slow_bf16(device)):
        print(f"search.py: warning: {warning}", file=sys.stderr)
    folder, probes, benchmark = RunFolder(config.run_dir), _probes(config), _benchmark(config, space)
    if config.evaluator == "table" and benchmark is not None:
        space = space_of(benchmark, space)
    begins_with_scores = getattr(getattr(make_algorithm, "func", make_algorithm), "begins_with_scores", False)
    conditions = _conditions(config, space, device, probes, benchmark, begins_with_scores)
    _expect_absolute(config, conditions)
    evaluator = make_evaluator(conditions)
    executor = make_executor(_request(machine, device, folder, evaluator))
    canonical = space.canonical if config.canonical and config.evaluator != "table" else str
    limits = _limits(config, space, canonical, probes)
    algorithm = _listed(config, space, limits) or make_algorithm(space, _samples(config), config.seed, limits)
    if config.budget is not None:
        algorithm = Budget(algorithm, config.budget)
    shard = Shard(algorithm, canonical, *part) if (part := config.part()) else None
    return Search(
        space=space,
        canonical=canonical,
        algorithm=shard or algorithm,
        shard=shard,
        limits=limits,
        evaluator=evaluator,
        executor=executor,
        seed=config.seed,
        dataset=config.dataset,
        top=config.top,
        folder=folder,
        settings=asdict(config) | {"overwrite": False, "trust": False},
        identity={**{name: getattr(config, name) for name in _OF_CANDIDATES}, **evaluator.identity()},
        overwrite=config.overwrite,
        calibrate=_calibration(config, space, device, probes()[0]) if config.calibrate else None,
        benchmark=_known(config, benchmark),
        wandb=config.wandb,
    )


def first_batch(search: Search) -> Sequence[Proposal]:
    """Return the first candidates of a search.

    Raises:
        UserError: there are none within its limits.
    """
    batch = search.algorithm.propose([])
    if not batch:
        raise UserError(f"{search.limits}; raise the limits")
    if search.limits.refused:
        print(search.limits)
    return batch


def _benchmark(config: SearchConfig, space: Space) -> Benchmark | None:
    """Return the table that is asked for.

    Raises:
        UserError: it cannot be read, or is of another space.
    """
    if config.benchmark is None:
        return None
    benchmark = _open(config.benchmark, space.name)
    if get_space(benchmark.space).name.partition(":")[0] != space.name.partition(":")[0]:
        raise UserError(f"--benchmark {config.benchmark}: it is of {benchmark.space}, not of --space {space.name}")
    return benchmark


def _open(path: str, space: str) -> Benchmark:
    """Open a table; a CSV whose architectures do not tell their space is taken to be of the search's."""
    try:
        return open_benchmark(path)
    except UserError:
        return open_benchmark(path, space)


def _known(config: SearchConfig, benchmark: Benchmark | None) -> Known | None:
    if benchmark is None:
        return None
    exact = config.benchmark_dataset is not None
    return Known(benchmark, reported_target(benchmark, config.benchmark_dataset or config.dataset, exact))


def _conditions(
    config: SearchConfig,
    space: Space,
    device: torch.device,
    probes: Callable[[], Sequence[Probe]],
    benchmark: Benchmark | None,
    begins_with_scores: bool,
) -> Conditions:
    conditions = Conditions(
        space=space,
        criteria=tuple(parse_scores(config.score)),
        seed=config.seed,
        device=device,
        precision=config.precision,
        settings={name: getattr(config, name) for name in _OF_SCORES},
        load_probes=probes,
        epochs=config.epochs,
        images={name: getattr(config, name) for name in _IMAGES},
        benchmark=benchmark,
        benchmark_path=None if config.benchmark is None else Path(config.benchmark),
        benchmark_dataset=config.benchmark_dataset,
        training=config.train,
        folder=Path(config.run_dir),
        workers=config.workers,
    )
    return replace(conditions, load_scores=partial(score_evaluator, conditions)) if begins_with_scores else conditions


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


def _expect_training(config: SearchConfig) -> None:
    if config.evaluator == "scores" and (config.epochs is not None or config.train):
        option = "--train" if config.epochs is None else f"--epochs {config.epochs}"
        raise UserError(f"{option}: it is of candidates that are trained; add --evaluator train, or leave it out")
    if config.evaluator not in ("scores", "train") and config.train:
        raise UserError(f"--train: --evaluator {config.evaluator} trains nothing; leave it out")


def _calibration(config: SearchConfig, space: Space, device: torch.device, probe: Probe) -> Calibration:
    loaded = [] if config.dataset == "noise" else [load_dataset(config.dataset, config.data_dir, config.image_size)]

    def at(setting: Setting) -> ScoreEvaluator:
        source = setting.batch_size, setting.seed, setting.probe_size
        noise = setting.dataset == "noise"
        probe = load_probe("noise", config.data_dir, *source) if noise else draw_probe(loaded[0], *source)
        return ScoreEvaluator(space, [probe], ("naswot",), setting.seed, device, setting.precision)

    side = probe.images.shape[-1]
    full = Setting(side, config.batch_size, config.precision, config.dataset, config.seed)
    return Calibration(full, has_bf16_instructions(device), at)


def _probes(config: SearchConfig) -> Callable[[], Sequence[Probe]]:
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


def _limits(
    config: SearchConfig, space: Space, canonical: Callable[[str], str], probes: Callable[[], Sequence[Probe]]
) -> Limits:
    def size(architecture: str) -> Complexity:
        probe = probes()[0]
        return space.complexity(canonical(architecture), probe.num_classes, probe.images.shape[1], probe.image_size)

    return Limits(config.max_params, config.max_macs, size)


def _listed(config: SearchConfig, space: Space, limits: Limits) -> Algorithm | None:
    """Return the algorithm of candidates that are given; None where they are to be found.

    Raises:
        UserError: an algorithm is asked for that finds its own, or the list is at fault.
    """
    if config.algorithm != "random" and (config.architectures is not None or config.samples == "all"):
        option = "--samples all" if config.architectures is None else f"--architectures {config.architectures}"
        raise UserError(f"{option}: the candidates are given, but --algorithm {config.algorithm} finds its own; choose")
    if config.architectures is not None:
        return Listed(given(space, config.architectures), limits)
    return Listed(enumerated(space), limits) if config.samples == "all" else None


def _expect_no_feedback(config: SearchConfig) -> None:
    if config.shard is not None and config.algorithm != "random":
        raise UserError(
            f"--shard {config.shard}: the candidates of --algorithm {config.algorithm} depend on the scores of all "
            "others; use --algorithm random, or give the candidates"
        )


def _expect_absolute(config: SearchConfig, conditions: Conditions) -> None:
    """Refuse an algorithm that learns from a score which changes with the candidates."""
    learns = config.evaluator == "scores" or conditions.load_scores is not None
    if config.algorithm != "random" and learns and conditions.criteria[0].is_relative:
        raise UserError(
            f"--score {conditions.criteria[0].name}: ranks by several scores change with each candidate, and "
            f"--algorithm {config.algorithm} learns from what they were; give a single score first, such as naswot, "
            "or use --algorithm random"
        )


def _samples(config: SearchConfig) -> int:
    assert config.samples != "all"  # those are listed
    return config.samples
