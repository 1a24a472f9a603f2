"""All picks of a run: one process each, then their comparison."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from naswot_lightning import comparison
from naswot_lightning.config import SearchConfig, TrainConfig
from naswot_lightning.data.dataset import list_datasets
from naswot_lightning.data.splits import describe_split, warn_of_own_split
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.files import locked, write_whole
from naswot_lightning.ranking import choose_picks, read_ranking
from naswot_lightning.run_folder import RunFolder
from spaces import EnumerableSpace, get_space

Row = dict[str, Any]

# Arguments of Lightning's Trainer that have an option of their own, or decide where results lie.
_OWN_OPTIONS = {
    "max_epochs": "--epochs",
    "precision": "--precision",
    "logger": "--wandb.mode",
    "callbacks": None,
    "plugins": None,
    "default_root_dir": "--run_dir",
}
# What may differ when a pick is continued.
_FREE = ("wandb", "data_dir", "split_file")


def run_training(config: TrainConfig) -> int:
    """Train the picks that have no result yet, then compare all of the run folder.

    Returns:
        0, or 1 where a pick failed; the others are trained all the same.

    Raises:
        UserError: a setting, a file or the run folder is at fault.
    """
    _check_trainer_arguments(config)
    folder = RunFolder(config.run_dir)
    search = _search_settings(config, folder)
    picks = _picks(config, folder, search)
    settings = [_pick_settings(config, search, folder, pick) for pick in picks]
    if warning := warn_of_own_split(settings[0]["dataset"], settings[0]["split_file"]):
        print(f"train.py: warning: {warning}", file=sys.stderr)
    with locked(folder.path):
        folders = [_prepare(folder.path, pick, config.overwrite) for pick in settings]
        failed = [pick for pick in folders if not _train(pick)]
        comparison.compare(folder, config.wandb)
    for pick in failed:
        print(f"FAILED: {pick.name}, see {pick / 'train.log'}", file=sys.stderr)
    return 1 if failed else 0


def _check_trainer_arguments(config: TrainConfig) -> None:
    if not config.trainer:
        return
    import inspect

    from pytorch_lightning import Trainer

    for name in config.trainer:
        if name in _OWN_OPTIONS:
            own = _OWN_OPTIONS[name]
            raise UserError(f"--trainer.{name}: {f'use {own}' if own else 'it is set by train.py itself'}")
        expect_name("argument of Lightning's Trainer", name, inspect.signature(Trainer).parameters)


def _search_settings(config: TrainConfig, folder: RunFolder) -> Row:
    """Return the settings of the search whose picks are trained, or the defaults where there was none."""
    if config.architecture is not None and not folder.config.exists():
        folder.path.mkdir(parents=True, exist_ok=True)
        return {**asdict(SearchConfig()), "canonical": config.canonical}
    return folder.read_config()


def _picks(config: TrainConfig, folder: RunFolder, search: Row) -> list[Row]:
    if config.architecture is None:
        if config.space not in (None, search["space"]):
            raise UserError(f"--space {config.space}: the ranking of {folder.path} is of {search['space']}")
        return choose_picks(read_ranking(folder.path), config.top, config.select or search.get("select", "top"))
    space = get_space(config.space or search["space"])
    space.validate(config.architecture)
    network = space.canonical(config.architecture) if config.canonical else config.architecture
    return [{"rank": None, "architecture": config.architecture, "canonical": network, "score": None}]


def _pick_settings(config: TrainConfig, search: Row, folder: RunFolder, pick: Row) -> Row:
    """Return everything that decides the training of one pick, in plain types."""
    dataset = config.dataset or search["dataset"]
    if dataset == "noise":
        raise UserError("noise has no labels to train on: name a data set with --dataset")
    expect_name("dataset", dataset, list_datasets())
    data_dir = config.data_dir or search["data_dir"]
    image_size = config.image_size or search["image_size"]
    split_file = _split_file(config, search, dataset)
    space = config.space or search["space"]
    name = f"{'given' if pick['rank'] is None else pick['rank']}-{_identifier(space, pick['architecture'])}"
    run_id = folder.run_id()
    seed = search["seed"] if config.seed is None else config.seed
    settings = {
        "rank": pick["rank"],
        "space": space,
        "architecture": pick["architecture"],
        "canonical": pick["canonical"],
        "score": pick["score"],
        "dataset": dataset,
        "data_dir": str(data_dir),
        "image_size": image_size,
        "split_file": split_file,
        "split": describe_split(dataset, split_file),
        **{n: getattr(config, n) for n in ("epochs", "batch_size", "lr", "momentum", "weight_decay", "precision")},
        "seed": seed,
        "early_points": config.early_points,
        "probe_seed": search["seed"],
        "probe_batch_size": config.probe_batch_size or search["batch_size"],
        "trainer": config.trainer,
    }
    wandb = {
        "mode": config.wandb.mode,
        "project": config.wandb.project,
        "group": config.wandb.group or f"{folder.path.resolve().name}-{run_id}",
        # Other settings are another run: wandb cannot take back what it was sent of the first.
        "id": f"{run_id}-{name}-{_digest(settings)}",
        "name": name,
    }
    return {**settings, "wandb": wandb}


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


def _prepare(run_dir: Path, settings: Row, overwrite: bool) -> Path:
    """Write the settings of a pick into its folder; a folder belongs to one set of them."""
    folder = run_dir / "picks" / settings["wandb"]["name"]
    path = folder / "config.yaml"
    if path.exists():
        saved = yaml.safe_load(path.read_text()) or {}
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
    write_whole(path, yaml.safe_dump(settings, sort_keys=False))
    return folder


def _train(folder: Path) -> bool:
    """Train one pick in a process of its own, unless it has a result; return whether it has one then."""
    result = folder / "result.json"
    if not result.exists():
        command = [sys.executable, "-m", "naswot_lightning.pick", str(folder)]
        # A wandb service of its own: one that outlives a killed pick would refuse the run to the next.
        environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
        with open(folder / "train.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
            )
            _show(process)
        if process.returncode in (2, 130):
            _raise_childs_error(folder, process.returncode)
    return result.exists()


def _show(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    try:
        for line in process.stdout:
            print(line.decode(errors="replace"), end="", flush=True)
        process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _raise_childs_error(folder: Path, code: int) -> None:
    if code == 130:
        raise KeyboardInterrupt
    lines = (folder / "train.log").read_text(errors="replace").splitlines()
    message = next((line for line in reversed(lines) if line.startswith("train.py: error: ")), "")
    raise UserError(message.removeprefix("train.py: error: ") or f"see {folder / 'train.log'}")
