"""From the settings of the command to the picks: every name is resolved here, once."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch

from naswot_lightning.config import SearchConfig, Select, TrainConfig, WandbConfig
from naswot_lightning.data.catalog import list_datasets
from naswot_lightning.data.splits import describe_split
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.execution import get_engine
from naswot_lightning.execution.base import Executor, ResourceRequest
from naswot_lightning.execution.resources import ResourceSlot, split_resources
from naswot_lightning.ranking import read_ranking
from naswot_lightning.storage.records import STRICT, Count, Positive, from_plain, parse_json
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.training.choice import choose_picks, named_picks
from naswot_lightning.training.recipes import NAMES, Recipe, resolve_recipe
from naswot_lightning.training.settings import PickSettings, seconds_of
from spaces import EnumerableSpace, Space, get_space, known_space, trust

# Arguments of Lightning's Trainer that have an option of their own, or decide where results lie.
_OWN_OPTIONS = {
    "max_epochs": "--epochs",
    "min_epochs": "--epochs",
    "max_steps": "--epochs",
    "min_steps": "--epochs",
    "fast_dev_run": "--epochs 1 --trainer.limit_train_batches 2",
    "accumulate_grad_batches": "--batch_size",
    "precision": "--precision",
    "gradient_clip_val": "--gradient_clip",
    "logger": "--wandb.mode",
    "barebones": None,
    "callbacks": None,
    "enable_checkpointing": None,
    "num_nodes": None,
    "plugins": None,
    "use_distributed_sampler": None,
    "default_root_dir": "--run_dir",
}


@dataclass(frozen=True)
class PlannedPick:
    """A pick to train.

    Attributes:
        name: of its folder and its wandb run.
        settings: of its training.
    """

    name: str
    settings: PickSettings


@dataclass(frozen=True)
class SearchProbe:
    """The mini-batch of a search, by what decides it and by what it was."""

    batch_size: int
    seed: int
    fingerprint: str


@dataclass(frozen=True)
class Training:
    """The picks of a run folder, ready to be trained.

    Attributes:
        folder: the run folder.
        picks: each once for each seed.
        overwrite: train again those whose results were made with other settings.
        executor: what runs them.
        slots: where they train on this machine, one at a time each.
        wandb: where runs are shown.
        search_probe: of the search whose images are trained on; None where they are others, or it is not known.
    """

    folder: RunFolder
    picks: tuple[PlannedPick, ...]
    overwrite: bool
    executor: Executor
    slots: tuple[ResourceSlot, ...]
    wandb: WandbConfig
    search_probe: SearchProbe | None = None


@dataclass(frozen=True)
class _Candidate:
    """A network to train: of a ranking, or given."""

    rank: int | None
    architecture: str
    canonical: str
    score: float | None


@dataclass(frozen=True)
class _Searched:
    """Of the search whose picks are trained, what training takes over."""

    space: str
    dataset: str
    data_dir: str
    image_size: Positive | None
    split_file: str | None
    seed: Count
    batch_size: Positive
    select: Select
    probe_size: Positive | None = None
    evaluator: str = "scores"

    __pydantic_config__ = STRICT


def plan_training(config: TrainConfig) -> Training:
    """Return the training that ``config`` describes; nothing is written.

    Raises:
        UserError: a setting, a file or the run folder is at fault.
    """
    _check_trainer_arguments(config)
    make_executor = get_engine(config.engine)
    folder = RunFolder(config.run_dir)
    searched = _searched(config, folder)
    if config.trust:
        trust(searched.space)
    space = known_space(searched.space) if config.space is None else get_space(config.space)
    candidates = _candidates(config, folder, searched, space)
    seeds = config.all_seeds() or [searched.seed if config.seed is None else config.seed]
    dataset = _dataset(config, searched)
    recipe = _recipe(config, space)
    _expect_validation(config, recipe.epochs)
    picks = [
        PlannedPick(
            _name(space, candidate, seed if config.all_seeds() else None),
            _settings(config, searched, space.name, candidate, dataset, recipe, seed),
        )
        for candidate in candidates
        for seed in seeds
    ]
    slots = split_resources(config.accelerator, config.devices, len(picks), config.workers, config.threads)
    executor = make_executor(_request(config, folder, slots))
    wandb = config.wandb
    probe = _search_probe(folder, searched, picks[0].settings)
    return Training(folder, tuple(picks), config.overwrite, executor, tuple(slots), wandb, probe)


def _request(config: TrainConfig, folder: RunFolder, slots: Sequence[ResourceSlot]) -> ResourceRequest:
    """Return what is asked of the engine: each pick is a process of its own, which opens its devices itself."""
    return ResourceRequest(
        workers=config.workers,
        device=torch.device("cuda" if "CUDA_VISIBLE_DEVICES" in slots[0].environment else "cpu"),
        devices=config.devices,
        threads=slots[0].threads,
        runs_subprocess=True,
        slots=len(slots),
        folder=folder.path,
        options=config.slurm,
    )


_PLAIN_DEVICES = {"precision": ("32-true",), "accelerator": ("auto", "cpu", "gpu"), "strategy": ("auto", "ddp")}


def _check_trainer_arguments(config: TrainConfig) -> None:
    """Refuse what Lightning would refuse after the work has begun; it is loaded only where it must be asked."""
    for name, plain in _PLAIN_DEVICES.items():
        if getattr(config, name) not in plain:
            expect_name(name, getattr(config, name), _lightning_names()[name])
    if not config.trainer:
        return
    from pytorch_lightning import Trainer

    for name in config.trainer:
        if name in _OWN_OPTIONS:
            own = _OWN_OPTIONS[name]
            raise UserError(f"--trainer.{name}: {f'use {own}' if own else 'it is set by train.py itself'}")
        expect_name("argument of Lightning's Trainer", name, inspect.signature(Trainer).parameters)
        if name.startswith("limit_") and not config.trainer[name]:
            raise UserError(f"--trainer.{name} {config.trainer[name]}: expected at least one mini-batch")
    seconds_of(config.trainer.get("max_time"))
    _try_trainer({name: value for name, value in config.trainer.items() if name != "max_time"})


def _expect_validation(config: TrainConfig, epochs: int) -> None:
    every = config.trainer.get("check_val_every_n_epoch")
    if isinstance(every, int) and every > epochs:
        raise UserError(
            f"--trainer.check_val_every_n_epoch {every}: nothing would be validated in {epochs} epochs, so that there "
            f"is no best one; expected at most {epochs}"
        )


def _try_trainer(arguments: dict[str, Any]) -> None:
    """Raise :class:`UserError` where Lightning's Trainer refuses an argument; nothing is written."""
    from lightning_fabric.plugins.environments import LightningEnvironment
    from pytorch_lightning import Trainer
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from naswot_lightning.training.trainer import quieten

    quieten()
    try:
        own_job = LightningEnvironment()  # whatever cluster this is
        Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, plugins=own_job, **arguments)
    except (MisconfigurationException, TypeError, ValueError, LookupError) as error:
        shown = " ".join(f"--trainer.{name} {value}" for name, value in arguments.items())
        raise UserError(f"{shown}: {' '.join(str(error).split())}") from None


def _lightning_names() -> dict[str, list[str]]:
    from lightning_fabric.connector import _PRECISION_INPUT_INT, _PRECISION_INPUT_STR, _PRECISION_INPUT_STR_ALIAS
    from pytorch_lightning.accelerators import AcceleratorRegistry
    from pytorch_lightning.strategies import StrategyRegistry

    kinds = (_PRECISION_INPUT_STR, _PRECISION_INPUT_STR_ALIAS, _PRECISION_INPUT_INT)
    return {
        "precision": [str(name) for kind in kinds for name in get_args(kind)],
        "accelerator": ["auto", "gpu", *AcceleratorRegistry.available_accelerators()],
        "strategy": ["auto", *StrategyRegistry.available_strategies()],
    }


def _searched(config: TrainConfig, folder: RunFolder) -> _Searched:
    """Return the settings of the search, or the defaults where there was none."""
    if config.architecture is not None and not folder.config.exists():
        saved = asdict(SearchConfig())
    else:
        saved = folder.read_config()
    try:
        return from_plain(_Searched, {name: saved[name] for name in _Searched.__dataclass_fields__ if name in saved})
    except ValueError as error:
        raise UserError(f"{folder.config} is damaged ({error}); run search.py again, which rewrites it") from None


def _search_probe(folder: RunFolder, searched: _Searched, pick: PickSettings) -> SearchProbe | None:
    """Return the mini-batch that a search took as it is out of the images that are trained on now.

    Resized ones are left out: the pixels are not the same on every machine.
    """
    names = ("dataset", "data_dir", "image_size", "split_file")
    same = all(getattr(searched, name) == getattr(pick, name) for name in names)
    if not same or searched.probe_size is not None or searched.evaluator not in ("scores", "train"):
        return None
    try:
        with open(folder.scores, "rb") as file:
            fingerprint = parse_json(file.readline(2**20))["probe"]
    except (OSError, ValueError, KeyError, TypeError):  # there was no search, or its first line is damaged
        return None
    return SearchProbe(searched.batch_size, searched.seed, str(fingerprint))


def _candidates(config: TrainConfig, folder: RunFolder, searched: _Searched, space: Space) -> Sequence[_Candidate]:
    if config.architecture is not None:
        if config.picks is not None:
            raise UserError(f"--picks {config.picks}: it chooses from a ranking; leave it or --architecture out")
        space.validate(config.architecture)
        network = space.canonical(config.architecture) if config.canonical else config.architecture
        return [_Candidate(None, config.architecture, network, None)]
    if space.name != known_space(searched.space).name:
        raise UserError(f"--space {space.name}: the ranking of {folder.path} is of {searched.space}")
    ranking = read_ranking(folder.path)
    if config.picks is not None:
        rows = named_picks(ranking, str(config.picks))
    else:
        rows = choose_picks(ranking, config.top, config.select or searched.select)
    for row in rows:
        space.validate(row.canonical)
    return [_Candidate(row.rank, row.architecture, row.canonical, row.score) for row in rows]


def _dataset(config: TrainConfig, searched: _Searched) -> str:
    dataset = config.dataset or searched.dataset
    if dataset == "noise":
        raise UserError("noise has no labels to train on: name a data set with --dataset")
    return expect_name("dataset", dataset, list_datasets())


def _recipe(config: TrainConfig, space: Space) -> Recipe:
    recipe = resolve_recipe(config.recipe, {name: getattr(config, name) for name in NAMES}, space.has_training_parts)
    if recipe.batch_size % config.devices:
        raise UserError(
            f"--devices {config.devices}: a mini-batch of {recipe.batch_size} cannot be shared out evenly; "
            "choose another --batch_size"
        )
    return recipe


def _settings(
    config: TrainConfig,
    searched: _Searched,
    space: str,
    candidate: _Candidate,
    dataset: str,
    recipe: Recipe,
    seed: int,
) -> PickSettings:
    # Official lists are those that are given, else those of the ranking where it is of the same data set.
    lists = config.split_file or (searched.split_file if dataset == searched.dataset else None)
    return PickSettings(
        rank=candidate.rank,
        architecture=candidate.architecture,
        canonical=candidate.canonical,
        score=candidate.score,
        space=space,
        dataset=dataset,
        data_dir=str(config.data_dir or searched.data_dir),
        image_size=config.image_size or searched.image_size,
        split_file=lists,
        split=describe_split(dataset, lists),
        recipe=config.recipe,
        values=recipe,
        seed=seed,
        early_points=config.early_points,
        probe_seed=searched.seed,
        probe_batch_size=config.probe_batch_size or searched.batch_size,
        probe_split=config.probe_split,
        score_batch_norm=config.score_batch_norm,
        precision=config.precision,
        compile=config.compile,
        deterministic=config.deterministic,
        accelerator=config.accelerator,
        devices=config.devices,
        strategy=config.strategy,
        trainer=config.trainer,
    )


def _name(space: Space, candidate: _Candidate, seed: int | None) -> str:
    """Return the name of a pick: its rank, and the benchmark's index or the first digits of a hash."""
    if isinstance(space, EnumerableSpace):
        identifier = str(space.index(candidate.architecture))
    else:
        identifier = hashlib.sha256(candidate.architecture.encode()).hexdigest()[:8]
    rank = "given" if candidate.rank is None else candidate.rank
    return f"{rank}-{identifier}{'' if seed is None else f'-seed{seed}'}"
