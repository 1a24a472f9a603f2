"""Which networks are trained, and everything that decides the training of each, in plain types."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.data.dataset import list_datasets
from naswot_lightning.data.splits import describe_split
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.storage.files import write_whole
from naswot_lightning.ranking import choose_picks, named_picks, read_ranking
from naswot_lightning.recipes import NAMES, resolve_recipe
from naswot_lightning.storage.run_folder import RunFolder
from spaces import EnumerableSpace, get_space

Row = dict[str, Any]

# Exit codes of a pick's process, beside 0, 1 and 2.
EXIT_INTERRUPTED = 130
EXIT_OUT_OF_MEMORY = 75
# What may differ when a pick is continued.
_FREE = ("wandb", "data_dir", "split_file", "accelerator", "devices", "strategy", "accumulate")


def list_picks(config: TrainConfig, folder: RunFolder) -> list[Row]:
    """Return the settings of every pick, once for each seed.

    Raises:
        UserError: a setting or the run folder is at fault.
    """
    search = _search_settings(config, folder)
    picks = _rows(config, folder, search)
    seeds = config.all_seeds() or [search["seed"] if config.seed is None else config.seed]
    return [_settings(config, search, folder, pick, seed) for pick in picks for seed in seeds]


def _search_settings(config: TrainConfig, folder: RunFolder) -> Row:
    """Return the settings of the search whose picks are trained, or the defaults where there was none."""
    if config.architecture is not None and not folder.config.exists():
        folder.path.mkdir(parents=True, exist_ok=True)
        return {**asdict(SearchConfig()), "canonical": config.canonical}
    return folder.read_config()


def _rows(config: TrainConfig, folder: RunFolder, search: Row) -> list[Row]:
    if config.architecture is None:
        if config.space not in (None, search["space"]):
            raise UserError(f"--space {config.space}: the ranking of {folder.path} is of {search['space']}")
        ranking = read_ranking(folder.path)
        if config.picks is not None:
            return named_picks(ranking, str(config.picks))
        return choose_picks(ranking, config.top, config.select or search.get("select", "top"))
    if config.picks is not None:
        raise UserError(f"--picks {config.picks}: it chooses from a ranking; leave it or --architecture out")
    space = get_space(config.space or search["space"])
    space.validate(config.architecture)
    network = space.canonical(config.architecture) if config.canonical else config.architecture
    return [{"rank": None, "architecture": config.architecture, "canonical": network, "score": None}]


def _settings(config: TrainConfig, search: Row, folder: RunFolder, pick: Row, seed: int) -> Row:
    dataset = config.dataset or search["dataset"]
    if dataset == "noise":
        raise UserError("noise has no labels to train on: name a data set with --dataset")
    expect_name("dataset", dataset, list_datasets())
    split_file = _split_file(config, search, dataset)
    space = config.space or search["space"]
    recipe = resolve_recipe(
        config.recipe, {name: getattr(config, name) for name in NAMES}, get_space(space).has_training_parts
    )
    if recipe["batch_size"] % config.devices:
        raise UserError(
            f"--devices {config.devices}: a mini-batch of {recipe['batch_size']} cannot be shared out evenly; "
            "choose another --batch_size"
        )
    settings = {
        **{name: pick[name] for name in ("rank", "architecture", "canonical", "score")},
        "space": space,
        "dataset": dataset,
        "data_dir": str(config.data_dir or search["data_dir"]),
        "image_size": config.image_size or search["image_size"],
        "split_file": split_file,
        "split": describe_split(dataset, split_file),
        "recipe": config.recipe,
        **recipe,
        "seed": seed,
        "early_points": config.early_points,
        "probe_seed": search["seed"],
        "probe_batch_size": config.probe_batch_size or search["batch_size"],
        **{
            name: getattr(config, name)
            for name in ("precision", "compile", "deterministic", "accelerator", "devices", "strategy", "trainer")
        },
        "accumulate": 1,
    }
    return {**settings, "wandb": _wandb_settings(config, folder, settings)}


def _wandb_settings(config: TrainConfig, folder: RunFolder, settings: Row) -> Row:
    run_id = folder.run_id()
    place = "given" if settings["rank"] is None else settings["rank"]
    name = f"{place}-{_identifier(settings['space'], settings['architecture'])}"
    if config.all_seeds():
        name += f"-seed{settings['seed']}"
    return {
        "mode": config.wandb.mode,
        "project": config.wandb.project,
        "group": config.wandb.group or f"{folder.path.resolve().name}-{run_id}",
        # Other settings are another run: wandb cannot take back what it was sent of the first.
        "id": f"{run_id}-{name}-{_digest(settings)}",
        "name": name,
    }


def _split_file(config: TrainConfig, search: Row, dataset: str) -> str | None:
    """Return the lists that are given, else those of the ranking where it is of the same data set."""
    return config.split_file or (search.get("split_file") if dataset == search["dataset"] else None)


def _identifier(space_name: str, architecture: str) -> str:
    """Return the benchmark's index where there is one, else the first digits of a hash."""
    space = get_space(space_name)
    if isinstance(space, EnumerableSpace):
        return str(space.index(architecture))
    return hashlib.sha256(architecture.encode()).hexdigest()[:8]


def _digest(settings: Row) -> str:
    decisive = {name: value for name, value in settings.items() if name not in _FREE}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:4]


def prepare_pick(run_dir: Path, settings: Row, overwrite: bool) -> Path:
    """Write the settings of a pick into its folder; a folder belongs to one set of them.

    Returns:
        The folder.

    Raises:
        UserError: it was trained with other settings.
    """
    folder = run_dir / "picks" / settings["wandb"]["name"]
    path = folder / "config.yaml"
    if path.exists():
        saved = read_pick(folder)
        differing = [
            f"{name} was {saved.get(name)!r}, now {value!r}"
            for name, value in settings.items()
            if name not in _FREE and saved.get(name) != value
        ]
        if differing and not overwrite:
            raise UserError(
                f"{folder} was trained with other settings: {'; '.join(differing)}; "
                "choose another --run_dir, or use --overwrite to train it again"
            )
        if differing:
            shutil.rmtree(folder)
        else:
            settings = {**settings, "accumulate": saved.get("accumulate", 1)}
    write_whole(path, yaml.safe_dump(settings, sort_keys=False))
    return folder


def read_pick(folder: Path) -> Row:
    """Return the settings of a pick's folder."""
    saved: Row = yaml.safe_load((folder / "config.yaml").read_text()) or {}
    return saved


def halve_step(folder: Path) -> int | None:
    """Let a pick take each of its steps in two halves, once.

    Returns:
        Images a half; None where it was halved already or cannot be.
    """
    settings = read_pick(folder)
    per_device = settings["batch_size"] // settings["devices"]
    if settings["accumulate"] != 1 or per_device < 4 or per_device % 2:
        return None
    write_whole(folder / "config.yaml", yaml.safe_dump({**settings, "accumulate": 2}, sort_keys=False))
    return int(per_device // 2)
