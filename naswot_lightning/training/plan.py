"""From the settings of the command to the picks: every name is resolved here, once."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import pandas as pd
import torch

from naswot_lightning.config import SearchConfig, Select, TrainConfig, WandbConfig
from naswot_lightning.data import DATASETS
from naswot_lightning.data.splits import describe_split
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.execution import get_engine
from naswot_lightning.execution.base import Executor, ResourceRequest
from naswot_lightning.execution.resources import ResourceSlot, split_resources
from naswot_lightning.ranking import as_dicts, read_ranking
from naswot_lightning.storage.records import STRICT, Count, Positive, from_plain, parse_json
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.training.recipes import NAMES, Recipe, resolve_recipe
from naswot_lightning.training.settings import PickSettings, seconds_of
from spaces import EnumerableSpace, Space, get_space, known_space, trust

# Arguments of Lightning's Trainer that are refused, each with the option to use instead, if there is one.
TRAINER_ARGUMENTS_WITH_OPTIONS = {
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
# The longest span of ranks in --picks, far more than can be trained.
_MOST_RANKS = 1_000_000


@dataclass(frozen=True)
class PlannedPick:
    """A pick to train."""

    name: str
    """The name of its folder and of its wandb run."""
    settings: PickSettings


@dataclass(frozen=True)
class SearchProbe:
    """The mini-batch of a search: what decides it, and the fingerprint that it had."""

    batch_size: int
    seed: int
    fingerprint: str


@dataclass(frozen=True)
class Training:
    """The picks of a run folder, ready to be trained."""

    folder: RunFolder
    picks: tuple[PlannedPick, ...]
    """Every pick once per seed."""
    overwrite: bool
    """Train again those whose results were made with other settings."""
    executor: Executor
    slots: tuple[ResourceSlot, ...]
    """Where picks train on this machine, one at a time each."""
    wandb: WandbConfig
    search_probe: SearchProbe | None = None
    """Of the search on the same images; None where they are others, or it is not known."""


@dataclass(frozen=True)
class _Candidate:
    """A network to train: of a ranking, or given."""

    rank: int | None
    architecture: str
    canonical: str
    score: float | None


@dataclass(frozen=True)
class _SearchSettings:
    """The settings that training takes over from the search."""

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
        UserError: a setting, a file or the run folder is invalid.
    """
    _check_trainer_arguments(config)
    make_executor = get_engine(config.engine)
    folder = RunFolder(config.run_dir)
    searched = _read_search_settings(config, folder)
    if config.trust:
        trust(searched.space)
    space = known_space(searched.space) if config.space is None else get_space(config.space)
    candidates = _candidates(config, folder, searched, space)
    seeds = config.all_seeds() or [searched.seed if config.seed is None else config.seed]
    dataset = config.dataset or searched.dataset
    if dataset == "noise":
        raise UserError("noise has no labels to train on: name a data set with --dataset")
    expect_name("dataset", dataset, DATASETS)
    recipe = _recipe(config, space)
    picks = [
        _plan_pick(config, searched, space, candidate, dataset, recipe, seed)
        for candidate in candidates
        for seed in seeds
    ]
    slots = split_resources(config.accelerator, config.devices, len(picks), config.workers, config.threads)
    # Each pick is a process of its own, which opens its devices itself.
    request = ResourceRequest(
        workers=config.workers,
        device=torch.device("cuda" if "CUDA_VISIBLE_DEVICES" in slots[0].environment else "cpu"),
        devices=config.devices,
        threads=slots[0].threads,
        runs_subprocess=True,
        slots=len(slots),
        folder=folder.path,
        options=config.slurm,
    )
    probe = _search_probe(folder, searched, picks[0].settings)
    return Training(folder, tuple(picks), config.overwrite, make_executor(request), tuple(slots), config.wandb, probe)


def choose_picks(ranking: pd.DataFrame, top: int, select: str = "top") -> pd.DataFrame:
    """Return ``top`` networks that differ; those that are degenerate or failed are no picks.

    Args:
        ranking: best first.
        top: how many.
        select: "top" for the best, "spread" for evenly spaced ranks from the best to the last, which is what a check
            of the score on a space without a benchmark needs.

    Raises:
        UserError: there are fewer.

    >>> ranking = pd.DataFrame({"rank": range(1, 10), "canonical": list("abcdefghi"), "status": "ok"})
    >>> choose_picks(ranking, 3)["rank"].tolist(), choose_picks(ranking, 3, "spread")["rank"].tolist()
    ([1, 2, 3], [1, 5, 9])
    """
    networks = ranking[ranking["status"] == "ok"].drop_duplicates("canonical")
    if top > len(networks):
        raise UserError(
            f"--top {top}: the ranking has {len(networks)} different networks with a score; "
            "choose fewer, or search with more --samples"
        )
    if select == "top" or top == 1:
        return networks.head(top)
    return networks.iloc[[round(step * (len(networks) - 1) / (top - 1)) for step in range(top)]]


def named_picks(ranking: pd.DataFrame, text: str) -> pd.DataFrame:
    """Return the networks of a ranking that ``text`` names, each once, best first; those without a score, too.

    Args:
        ranking: best first.
        text: "all" for every one that could be built, or ranks such as "1,5,10-12".

    Raises:
        UserError: another text, a rank that the ranking has not, or a network that failed.

    >>> ranking = pd.DataFrame({"rank": range(1, 10), "canonical": list("abcdefghi"), "status": "ok"})
    >>> named_picks(ranking, "1,3,7-9")["rank"].tolist()
    [1, 3, 7, 8, 9]
    """
    if text == "all":
        return ranking[ranking["status"] != "failed"].drop_duplicates("canonical")
    ranks: set[int] = set()
    for word in text.split(","):
        matched = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", word, re.ASCII)
        if matched is None:
            raise UserError(f"--picks {text}: expected all, or ranks such as 1,5,10-12")
        first, last = int(matched[1]), int(matched[2] or matched[1])
        ranks.update(range(first, min(last, first + _MOST_RANKS) + 1))
    for rank in sorted(ranks):
        if not 1 <= rank <= len(ranking):
            raise UserError(f"--picks {text}: the ranking has no rank {rank}; its ranks are 1 to {len(ranking)}")
        if ranking["status"].iloc[rank - 1] == "failed":
            raise UserError(f"--picks {text}: rank {rank} failed when it was scored (see scores.jsonl); leave it out")
    return ranking.iloc[[rank - 1 for rank in sorted(ranks)]].drop_duplicates("canonical")


def _check_trainer_arguments(config: TrainConfig) -> None:
    """Refuse what Lightning's Trainer would refuse once the folders of the picks are written."""
    usual = config.precision == "32-true" and config.accelerator in ("auto", "cpu", "gpu")
    if usual and config.strategy in ("auto", "ddp") and not config.trainer:
        return  # without loading Lightning, which takes seconds
    from lightning_fabric.plugins.environments import LightningEnvironment
    from pytorch_lightning import Trainer
    from pytorch_lightning.accelerators import AcceleratorRegistry
    from pytorch_lightning.strategies import StrategyRegistry
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from naswot_lightning.training.trainer import silence_lightning

    for name in config.trainer:
        if name in TRAINER_ARGUMENTS_WITH_OPTIONS:
            own = TRAINER_ARGUMENTS_WITH_OPTIONS[name]
            raise UserError(f"--trainer.{name}: {f'use {own}' if own else 'it is set by train.py itself'}")
        expect_name("argument of Lightning's Trainer", name, inspect.signature(Trainer).parameters)
        if name.startswith("limit_") and not config.trainer[name]:
            raise UserError(f"--trainer.{name} {config.trainer[name]}: expected at least one mini-batch")
    seconds_of(config.trainer.get("max_time"))
    # By name alone: the devices are those of the machine that trains, which need not be this one.
    expect_name("accelerator", config.accelerator, ["auto", "gpu", *AcceleratorRegistry.available_accelerators()])
    expect_name("strategy", config.strategy, ["auto", *StrategyRegistry.available_strategies()])
    arguments = {name: value for name, value in config.trainer.items() if name != "max_time"}
    silence_lightning()
    try:
        # With Lightning's own environment: the Trainer must not look for a cluster that this command may run in.
        Trainer(
            accelerator="cpu", precision=config.precision, logger=False, enable_checkpointing=False,  # type: ignore[arg-type]
            plugins=LightningEnvironment(), **arguments,  # type: ignore[arg-type]
        )  # fmt: skip
    except ImportError:
        pass  # a precision whose library only the machine that trains has
    except (MisconfigurationException, TypeError, ValueError, LookupError) as error:
        shown = [f"--trainer.{name} {value}" for name, value in arguments.items()]
        if config.precision != "32-true":
            shown.append(f"--precision {config.precision}")
        raise UserError(f"{' '.join(shown)}: {' '.join(str(error).split())}") from None


def _read_search_settings(config: TrainConfig, folder: RunFolder) -> _SearchSettings:
    """Return the settings of the search, or the defaults where there was none."""
    if config.architecture is not None and not folder.config.exists():
        saved = asdict(SearchConfig())
    else:
        saved = folder.read_config()
    try:
        names = _SearchSettings.__dataclass_fields__
        return from_plain(_SearchSettings, {name: saved[name] for name in names if name in saved})
    except ValueError as error:
        raise UserError(f"{folder.config} is damaged ({error}); run search.py again, which rewrites it") from None


def _search_probe(folder: RunFolder, searched: _SearchSettings, pick: PickSettings) -> SearchProbe | None:
    """Return the mini-batch that a search drew, not resized, from the images that are trained on now.

    Resized ones are left out: their pixels are not the same on every machine.
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


def _candidates(
    config: TrainConfig, folder: RunFolder, searched: _SearchSettings, space: Space
) -> Sequence[_Candidate]:
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
        picks = named_picks(ranking, str(config.picks))
    else:
        picks = choose_picks(ranking, config.top, config.select or searched.select)
    rows = list(as_dicts(picks))
    for row in rows:
        space.validate(row["canonical"])
    return [_Candidate(row["rank"], row["architecture"], row["canonical"], row["score"]) for row in rows]


def _recipe(config: TrainConfig, space: Space) -> Recipe:
    recipe = resolve_recipe(config.recipe, {name: getattr(config, name) for name in NAMES}, space.has_training_parts)
    if recipe.batch_size % config.devices:
        raise UserError(
            f"--devices {config.devices}: a mini-batch of {recipe.batch_size} cannot be shared out evenly; "
            "choose another --batch_size"
        )
    every = config.trainer.get("check_val_every_n_epoch")
    if isinstance(every, int) and every > recipe.epochs:
        raise UserError(
            f"--trainer.check_val_every_n_epoch {every}: nothing would be validated in {recipe.epochs} epochs, so that "
            f"there is no best one; expected at most {recipe.epochs}"
        )
    return recipe


def _plan_pick(
    config: TrainConfig,
    searched: _SearchSettings,
    space: Space,
    candidate: _Candidate,
    dataset: str,
    recipe: Recipe,
    seed: int,
) -> PlannedPick:
    # Official lists are those that are given, else those of the ranking where it is of the same data set.
    lists = config.split_file or (searched.split_file if dataset == searched.dataset else None)
    same = {each.name: getattr(config, each.name) for each in fields(PickSettings) if hasattr(config, each.name)}
    resolved = {
        **asdict(candidate),
        "space": space.name,
        "dataset": dataset,
        "data_dir": str(config.data_dir or searched.data_dir),
        "image_size": config.image_size or searched.image_size,
        "split_file": lists,
        "split": describe_split(dataset, lists),
        "values": recipe,
        "seed": seed,
        "probe_seed": searched.seed,
        "probe_batch_size": config.probe_batch_size or searched.batch_size,
    }
    # The name begins with the rank; the benchmark's index follows, or the first digits of a hash.
    if isinstance(space, EnumerableSpace):
        identifier = str(space.index(candidate.architecture))
    else:
        identifier = hashlib.sha256(candidate.architecture.encode()).hexdigest()[:8]
    rank = "given" if candidate.rank is None else candidate.rank
    name = f"{rank}-{identifier}{f'-seed{seed}' if config.all_seeds() else ''}"
    return PlannedPick(name, PickSettings(**{**same, **resolved}))
