"""From the settings of the command to the picks: every name is resolved here, once."""

from __future__ import annotations

import hashlib
import inspect
import random
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from naswot_lightning.analysis.results import CONTROL
from naswot_lightning.columns import PARETO_RANK
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.console import counted
from naswot_lightning.data.own import dataset_name
from naswot_lightning.data.sources import count_training_images
from naswot_lightning.data.splits import describe_split
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.execution.base import Executor, ResourceRequest
from naswot_lightning.execution.resources import ResourceSlot, split_resources
from naswot_lightning.ranking import as_dicts, read_ranking
from naswot_lightning.registry import resolve
from naswot_lightning.report.loggers import parse_loggers
from naswot_lightning.seeds import derived_seed
from naswot_lightning.spaces import EnumerableSpace, Space, get_space, known_space, trust
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.training.settings import (
    NAMES,
    RECIPES,
    PickSettings,
    Recipe,
    adapt_recipe,
    read_search,
    resolve_recipe,
    seconds_of,
)

# Arguments of Lightning's Trainer that are refused, each with the option to use instead, if there is one.
TRAINER_ARGUMENTS_WITH_OPTIONS = {
    **dict.fromkeys(("max_epochs", "min_epochs", "max_steps", "min_steps"), "--epochs"),
    "fast_dev_run": "--epochs 1 --trainer.limit_train_batches 2",
    "accumulate_grad_batches": "--batch_size",
    "precision": "--precision",
    "gradient_clip_val": "--gradient_clip",
    "logger": "--logger",
    "default_root_dir": "--run_dir",
    **dict.fromkeys(("barebones", "callbacks", "enable_checkpointing", "plugins", "use_distributed_sampler")),
}
# The longest span of ranks in --picks, far more than can be trained.
_MOST_RANKS = 1_000_000


@dataclass(frozen=True)
class PlannedPick:
    """A pick to train."""

    name: str
    """The name of its folder and of its wandb run."""
    settings: PickSettings
    selection: str
    """How it was chosen: one of :data:`~naswot_lightning.analysis.results.SELECTIONS`."""


@dataclass(frozen=True)
class Training:
    """The picks of a run folder, ready to be trained."""

    folder: RunFolder
    picks: tuple[PlannedPick, ...]
    """Every pick once per seed."""
    config: TrainConfig
    searched: SearchConfig
    executor: Executor
    slots: tuple[ResourceSlot, ...]
    """Where picks train on this machine, one at a time each."""


def plan_training(config: TrainConfig) -> Training:
    """Return the training that ``config`` describes; nothing is written."""
    _check_trainer_arguments(config)
    parse_loggers(config.logger)
    make_executor: Callable[[ResourceRequest], Executor] = resolve("engine", config.engine)
    folder = RunFolder(config.run_dir)
    is_new = config.architecture is not None and not folder.config.exists()
    searched = SearchConfig() if is_new else read_search(folder)
    if config.trust:
        trust(searched.space)
        trust(searched.dataset)
    picks = _plan_picks(config, searched, folder)
    slots = split_resources(config.accelerator, config.devices, len(picks), config.workers, config.threads)
    # Each pick is a process of its own, which opens its devices itself.
    request = ResourceRequest(
        workers=config.workers,
        device={"auto": "auto", "gpu": "cuda", "cuda": "cuda"}.get(config.accelerator, "cpu"),
        devices=config.devices,
        threads=slots[0].threads,
        runs_subprocess=True,
        slots=len(slots),
        folder=folder.path,
        options=config.slurm,
    )
    return Training(folder, tuple(picks), config, searched, make_executor(request), tuple(slots))


def _plan_picks(config: TrainConfig, searched: SearchConfig, folder: RunFolder) -> list[PlannedPick]:
    """Return every pick once per seed, with all that its process must know."""
    space = known_space(searched.space) if config.space is None else get_space(config.space)
    candidates = _candidates(config, searched, folder, space)
    if config.dataset is not None:
        trust(config.dataset)
    dataset = dataset_name(config.dataset or searched.dataset)
    if dataset == "noise":
        raise UserError("noise has no labels to train on; choose a data set with --dataset")
    # Official lists are those that are given, else those of the ranking where it is of the same data set.
    lists = config.split_file or (searched.split_file if dataset == searched.dataset else None)
    split = describe_split(dataset, lists)
    data_dir = str(config.data_dir or searched.data_dir)
    shared = {each.name: getattr(config, each.name) for each in fields(PickSettings) if hasattr(config, each.name)} | {
        "space": space.name,
        "dataset": dataset,
        "data_dir": data_dir,
        "image_size": config.image_size or searched.image_size,
        "split_file": lists,
        "split": split,
        "values": _choose_recipe(config, space, dataset, data_dir),
        "probe_seed": searched.seed,
        "probe_batch_size": config.probe_batch_size or searched.batch_size,
        "units": config.units or searched.units,
    }
    seeds = config.all_seeds() or [searched.seed if config.seed is None else config.seed]
    picks = []
    for candidate in candidates:
        architecture, rank, selection = candidate["architecture"], candidate["rank"], candidate.pop("selection")
        # The name begins with the rank; the benchmark's index follows, or the first digits of a hash.
        if isinstance(space, EnumerableSpace):
            identifier = str(space.index(architecture))
        else:
            identifier = hashlib.sha256(architecture.encode()).hexdigest()[:8]
        for seed in seeds:
            name = f"{'given' if rank is None else rank}-{identifier}{f'-seed{seed}' if config.all_seeds() else ''}"
            name = f"{CONTROL}-{name}" if selection == CONTROL else name
            picks.append(PlannedPick(name, PickSettings(**{**shared, **candidate, "seed": seed}), selection))
    return picks


def _choose_recipe(config: TrainConfig, space: Space, dataset: str, data_dir: str) -> Recipe:
    """Return the recipe with the values of the options, adapted to few images."""
    recipe = resolve_recipe(config.recipe, {name: getattr(config, name) for name in NAMES}, space.has_training_parts)
    # Mini-batches that fit the number of images, where the user chose none and no rate.
    if config.batch_size is None and config.lr is None:
        recipe = adapt_recipe(recipe, count_training_images(dataset, data_dir))
    if recipe.batch_size % (config.devices * config.num_nodes):
        nodes = f"--num_nodes {config.num_nodes} " if config.num_nodes > 1 else ""
        raise UserError(
            f"{nodes}--devices {config.devices}: a batch of {recipe.batch_size} images cannot be divided evenly; "
            "choose another --batch_size"
        )
    every = config.trainer.get("check_val_every_n_epoch")
    if isinstance(every, int) and every > recipe.epochs:
        raise UserError(
            f"--trainer.check_val_every_n_epoch {every}: nothing would be validated in {recipe.epochs} epochs, so "
            f"there would be no best epoch; expected at most {recipe.epochs}"
        )
    return recipe


def describe_adaptation(training: Training) -> str | None:
    """Return in one line how the recipe was adapted to few images; None where it is the recipe's own."""
    config, settings = training.config, training.picks[0].settings
    adapted, recipe = settings.values, RECIPES[settings.recipe]
    if config.batch_size is not None or config.lr is not None or adapted.batch_size == recipe.batch_size:
        return None
    images = count_training_images(settings.dataset, settings.data_dir)
    before, steps = (-(-images // each.batch_size) for each in (recipe, adapted))
    return (
        f"{images:,} training images make only {counted(before, 'step')} per epoch with --batch_size "
        f"{recipe.batch_size}; using --batch_size {adapted.batch_size} --lr {adapted.lr:g} instead: {steps} steps per "
        f"epoch, {steps * adapted.epochs:,} in {counted(adapted.epochs, 'epoch')} (give --batch_size or --lr to choose)"
    )


def _candidates(config: TrainConfig, searched: SearchConfig, folder: RunFolder, space: Space) -> list[dict[str, Any]]:
    """Return rank, architecture, canonical form, score and selection of each network to train."""
    if config.architecture is not None:
        for name, value in (("picks", config.picks), ("controls", config.controls or None)):
            if value is not None:
                raise UserError(
                    f"--{name} {value}: chooses from a ranking; leave out either this option or --architecture"
                )
        space.validate(config.architecture)
        network = space.canonical(config.architecture) if config.canonical else config.architecture
        given = {"rank": None, "architecture": config.architecture, "canonical": network, "score": None}
        return [{**given, "selection": "given"}]
    if space.name != known_space(searched.space).name:
        raise UserError(f"--space {space.name}: the ranking in {folder.path} is of {searched.space}")
    ranking = read_ranking(folder.path)
    if config.picks is not None:
        picks = named_picks(ranking, str(config.picks))
    else:
        picks = choose_picks(ranking, config.top, config.select or searched.select)
    picks = picks.assign(selection=selection_of(ranking, picks))
    if config.controls:
        controls = choose_controls(ranking, picks, config.controls, searched.seed)
        picks = pd.concat([picks, controls.assign(selection=CONTROL)])
    rows = list(as_dicts(picks[["rank", "architecture", "canonical", "score", "selection"]]))
    for row in rows:
        space.validate(row["canonical"])
    return rows


def choose_picks(ranking: pd.DataFrame, top: int, select: str = "top") -> pd.DataFrame:
    """Return ``top`` networks of a ranking that differ, none without a score; UserError where there are fewer.

    With ``select="spread"`` they have evenly spaced ranks from the best to the last, which is what a check of the score
    on a space without a benchmark needs; with "pareto" they are spread so over the front of the objectives.

    >>> ranking = pd.DataFrame({"rank": range(1, 10), "canonical": list("abcdefghi"), "status": "ok"})
    >>> choose_picks(ranking, 3)["rank"].tolist(), choose_picks(ranking, 3, "spread")["rank"].tolist()
    ([1, 2, 3], [1, 5, 9])
    """
    networks, what = ranking[ranking["status"] == "ok"], "the ranking has {} different networks with a score"
    if select == "pareto":
        if PARETO_RANK not in ranking:
            raise UserError(
                "--select pareto: the ranking has no Pareto front; search with --objectives, such as naswot,params"
            )
        networks, what = networks[networks[PARETO_RANK] == 1], "the front has {} different networks"
    networks = networks.drop_duplicates("canonical")
    if top > len(networks):
        raise UserError(f"--top {top}: {what.format(len(networks))}; choose fewer, or search with more --samples")
    if select == "top" or top == 1:
        return networks.head(top)
    return networks.iloc[[round(step * (len(networks) - 1) / (top - 1)) for step in range(top)]]


def choose_controls(ranking: pd.DataFrame, picks: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Return so many random candidates that could be built, networks that differ from each other and from the picks.

    Of the same search and seed they are the first of one random order, so that more of them continue fewer. UserError
    where there are fewer.
    """
    order = list(range(len(ranking)))
    random.Random(derived_seed(seed, CONTROL)).shuffle(order)
    candidates = ranking.iloc[order]
    others = candidates[(candidates["status"] != "failed") & ~candidates["canonical"].isin(picks["canonical"])]
    others = others.drop_duplicates("canonical")
    if count > len(others):
        raise UserError(
            f"--controls {count}: the ranking has {counted(len(others), 'network')} besides the picks; choose "
            "fewer, or search with more --samples"
        )
    # Equal networks are one, of the best of their ranks.
    chosen = set(others["canonical"].head(count))
    return ranking[ranking["canonical"].isin(chosen)].drop_duplicates("canonical")


def selection_of(ranking: pd.DataFrame, picks: pd.DataFrame) -> str:
    """Return how picks lie in their ranking, however they were asked for: one of :data:`SELECTIONS`."""
    networks = ranking.loc[ranking["status"] == "ok", "canonical"].drop_duplicates().tolist()
    chosen = picks["canonical"].tolist()
    if set(chosen) >= set(networks):
        return "all"
    if chosen == networks[: len(chosen)]:
        return "top"
    for select in ("pareto", "spread") if PARETO_RANK in ranking else ("spread",):
        with suppress(UserError):
            if chosen == choose_picks(ranking, len(chosen), select)["canonical"].tolist():
                return select
    return "named"


def named_picks(ranking: pd.DataFrame, text: str) -> pd.DataFrame:
    """Return the networks that ``text`` names, each once, best first: ranks such as "1,5,10-12", also without a score.

    "all" is every one that could be built. UserError for another text, an unknown rank, or a network that failed.

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
    # Without loading Lightning, which takes seconds.
    if usual and config.strategy in ("auto", "ddp") and not config.trainer:
        return
    from lightning_fabric.plugins.environments import LightningEnvironment
    from pytorch_lightning import Trainer
    from pytorch_lightning.accelerators import AcceleratorRegistry
    from pytorch_lightning.strategies import StrategyRegistry
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from naswot_lightning.training.trainer import silence_lightning

    for name in config.trainer:
        if name in TRAINER_ARGUMENTS_WITH_OPTIONS:
            own = TRAINER_ARGUMENTS_WITH_OPTIONS[name]
            raise UserError(f"--trainer.{name}: {f'use {own}' if own else 'naswot train sets this itself'}")
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
    # A precision whose library only the machine that trains has.
    except ImportError:
        return
    except (MisconfigurationException, TypeError, ValueError, LookupError) as error:
        shown = [f"--trainer.{name} {value}" for name, value in arguments.items()]
        if config.precision != "32-true":
            shown.append(f"--precision {config.precision}")
        raise UserError(f"{' '.join(shown)}: {' '.join(str(error).split())}") from None
