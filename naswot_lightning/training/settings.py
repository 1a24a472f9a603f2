"""Everything that decides the training of one pick: its recipe, its settings, and their files."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from naswot_lightning.analysis.results import read_selections
from naswot_lightning.config import (
    PlainValue,
    ProbeSplit,
    ScoreBatchNorm,
    SearchConfig,
    TrainConfig,
    Units,
    settings_affecting,
)
from naswot_lightning.errors import UserError, expect_name
from naswot_lightning.storage.files import atomic_write, remove_within
from naswot_lightning.storage.records import STRICT, Count, Positive, from_plain, parse_yaml
from naswot_lightning.storage.run_folder import RunFolder, differing


@dataclass(frozen=True)
class Recipe:
    """One way to train; the learning rate always falls to zero along a cosine, step by step, over all epochs."""

    epochs: Positive
    batch_size: Positive = 256
    """Images per step, of all processes together."""
    optimizer: Literal["sgd", "rmsprop", "adamw"] = "sgd"
    """``sgd`` is Nesterov's."""
    lr: float = 0.1
    """Initial learning rate."""
    momentum: float = 0.9
    """Of AdamW its first beta."""
    weight_decay: float = 5e-4
    """L2 penalty of all parameters."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    gradient_clip: float | None = None
    """Largest norm of the gradient; None for no limit."""
    auxiliary_weight: float = 0.0
    """Weight of the loss of an auxiliary head; 0 for no head."""
    drop_path: float = 0.0
    """Probability of drop path in the last epoch, growing from 0 in the first."""
    warmup_epochs: Count = 0
    """Over which the learning rate first rises, step by step."""
    flip: bool | None = None
    """Whether training images are mirrored at random; None for what the data set says."""
    crop_padding: Count | None = None
    """Zeros around a training image, out of which it is cropped at random; None for what the data set says."""
    class_weights: bool = False
    """Whether each class has the same weight in the training loss, however many images it has."""

    __pydantic_config__ = STRICT


# How the benchmarks train their networks: every value that a table's accuracy depends on.
RECIPES = {
    "nasbench201-200": Recipe(200),
    "nasbench201-12": Recipe(12),
    "nats-size-90": Recipe(90),
    # Ying et al. 2019: two halves of a mini-batch, each at 0.1; RMSprop with epsilon 1 (see classifier.py).
    "nasbench101-108": Recipe(108, optimizer="rmsprop", lr=0.2, weight_decay=1e-4),
    # Radosavovic et al. 2019, with the weight of the head and drop path of DARTS (Liu et al. 2019).
    "nds-100": Recipe(100, batch_size=128, auxiliary_weight=0.4, drop_path=0.2),
}
# Where --optimizer adamw is chosen: the benchmarks' rates are those of SGD (Loshchilov & Hutter, 2019).
_ADAMW: dict[str, Any] = {"lr": 1e-3, "weight_decay": 0.05}
FEWEST_STEPS = 20
# Of fewer images the statistics of BatchNorm are noise.
_SMALLEST_BATCH = 16
NAMES = tuple(field.name for field in fields(Recipe))


def resolve_recipe(name: str, chosen: Mapping[str, Any], has_parts: bool) -> Recipe:
    """Return a recipe, the values of ``chosen`` that are not None in place of its own.

    Where the space's networks do not have the parts (auxiliary head, drop path), the recipe's own do not apply, and to
    choose them is a UserError, as an unknown recipe is.

    >>> resolve_recipe("nasbench201-12", {"lr": 0.05, "epochs": None}, has_parts=False).lr
    0.05
    """
    recipe = RECIPES[expect_name("recipe", name, RECIPES)]
    if chosen.get("optimizer") == "adamw":
        recipe = replace(recipe, **_ADAMW)
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if not has_parts:
        for part in ("auxiliary_weight", "drop_path"):
            if chosen.get(part):
                raise UserError(
                    f"--{part} {chosen[part]}: only networks of the cell spaces nds_* have this part; leave the "
                    "option out"
                )
        recipe = replace(recipe, auxiliary_weight=0.0, drop_path=0.0)
    recipe = replace(recipe, **chosen)
    if recipe.warmup_epochs >= recipe.epochs:
        raise UserError(f"--warmup_epochs {recipe.warmup_epochs}: expected fewer than the {recipe.epochs} epochs")
    return recipe


def adapt_recipe(recipe: Recipe, images: int) -> Recipe:
    """Return a recipe for few training images, of which a benchmark's mini-batches would make few steps per epoch.

    Of fewer than 20 steps nothing is learned at the usual rates: mini-batches become smaller, and the learning rate
    with them (the linear rule of Goyal et al., 2017), except AdamW's, whose steps do not grow with the gradient.

    >>> adapt_recipe(RECIPES["nasbench201-200"], 1_203)
    Recipe(epochs=200, batch_size=32, ..., lr=0.0125, ...)
    >>> adapt_recipe(RECIPES["nasbench201-200"], 25_000).batch_size
    256
    """
    if -(-images // recipe.batch_size) >= FEWEST_STEPS:
        return recipe
    batch = max(_SMALLEST_BATCH, 2 ** int(math.log2(max(images / FEWEST_STEPS, 1))))
    batch = min(batch, recipe.batch_size)
    scale = 1.0 if recipe.optimizer == "adamw" else batch / recipe.batch_size
    return replace(recipe, batch_size=batch, lr=recipe.lr * scale)


# Settings that every run folder has.
_OF_EVERY_SEARCH = ("space", "dataset", "data_dir", "image_size", "split_file", "seed", "batch_size", "select")


@dataclass
class _SavedSearch(SearchConfig):
    __pydantic_config__ = STRICT


def read_search(folder: RunFolder) -> SearchConfig:
    """Return the settings of a search; what an older folder lacks has its default. UserError where they are damaged."""
    saved, names = folder.read_config(), SearchConfig.__dataclass_fields__
    try:
        for name in _OF_EVERY_SEARCH:
            if name not in saved:
                raise ValueError(f"{name}: field required")
        return from_plain(_SavedSearch, {name: saved[name] for name in names if name in saved})
    except ValueError as error:
        raise UserError(f"{folder.config} is damaged ({error}); run naswot search again, which rewrites it") from None


# What may differ when a pick is continued.
_FREE = ("options", "selections", *settings_affecting(TrainConfig, "source", "machine", "display"))
_RETRY = "retry.yaml"
# In config.yaml.
_IMAGES = "images_fingerprint"
# Arguments of Lightning's Trainer that change no result.
_FREE_TRAINER = (
    "max_time", "enable_progress_bar", "enable_model_summary", "log_every_n_steps", "profiler",
    "num_sanity_val_steps", "detect_anomaly", "benchmark", "inference_mode", "model_registry",
)  # fmt: skip


@dataclass(frozen=True)
class PickSettings:
    """Everything that decides the training of one pick."""

    rank: Positive | None
    """In the ranking; None where the architecture was given."""
    architecture: str
    canonical: str
    """The architecture of the network that is trained: without dead branches."""
    score: float | None
    """That of the search."""
    space: str
    dataset: str
    data_dir: str
    image_size: Positive | None
    split_file: str | None
    split: str | None
    """In words, how the data set is divided."""
    recipe: str
    values: Recipe
    """The values of the recipe, with what the user chose in place of its own."""
    seed: Count
    """Of weights, order and augmentation."""
    early_points: Count
    """Points of the trajectory in each of the first two epochs."""
    probe_seed: Count
    probe_batch_size: Positive
    probe_split: ProbeSplit
    score_batch_norm: ScoreBatchNorm
    precision: str
    """Of Lightning's Trainer, as ``accelerator``, ``devices``, ``strategy``, ``num_nodes`` and ``deterministic``."""
    compile: bool | Literal["reduce-overhead"]
    deterministic: bool
    accelerator: str
    devices: Positive
    strategy: str
    num_nodes: Positive = 1
    trainer: Mapping[str, PlainValue] = field(default_factory=dict)
    """Further arguments of Lightning's Trainer."""
    units: Units = "rectifiers"
    """That the score counts."""

    __pydantic_config__ = STRICT

    @property
    def processes(self) -> int:
        """That train the pick together, one per device."""
        return self.devices * self.num_nodes

    def to_plain(self) -> dict[str, Any]:
        """Return them flat, as in ``config.yaml``."""
        plain: dict[str, Any] = {}
        for name, value in asdict(self).items():
            plain |= value if name == "values" else {name: value}
        # Folders of before there was a choice have the same identity.
        if self.units == "rectifiers":
            del plain["units"]
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> PickSettings:
        """Return the settings of a ``config.yaml``; ValueError where one is missing or of another type."""
        own = {each.name: plain[each.name] for each in fields(cls) if each.name in plain}
        return from_plain(cls, {**own, "values": {name: plain[name] for name in NAMES if name in plain}})

    def options(self) -> dict[str, Any]:
        """Return the options of ``naswot train``, beside ``--recipe``, that change a result and are not the default.

        Those of Lightning's Trainer are called ``trainer.NAME``.
        """
        trainer = decisive_settings(self.to_plain())["trainer"]
        options = {f"trainer.{name}": value for name, value in trainer.items()}
        for name, default in (("precision", "32-true"), ("compile", False), ("probe_split", "train")):
            if getattr(self, name) != default:
                options[name] = getattr(self, name)
        # Of "both", the first score is that of the mini-batch.
        if self.units != "rectifiers":
            options["units"] = self.units
        if self.score_batch_norm == "running":
            options["score_batch_norm"] = self.score_batch_norm
        own = asdict(RECIPES[self.recipe])
        changed = {name: value for name, value in asdict(self.values).items() if value != own[name]}
        return changed | dict(sorted(options.items(), key=lambda each: each[0].removeprefix("trainer.")))

    def describe_recipe(self) -> str:
        """Return the recipe in words, with all that changes a result: a group of results shares one."""
        changed = [f"{name.removeprefix('trainer.')} {value}" for name, value in self.options().items()]
        return self.recipe + (f" ({', '.join(changed)})" if changed else "")

    def digest(self) -> str:
        """Return four digits that other settings do not share (the free ones aside)."""
        decisive = decisive_settings(self.to_plain())
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:4]


def decisive_settings(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, as in ``config.yaml``, on which a result depends."""
    trainer = plain.get("trainer")
    decisive = {name: value for name, value in plain.items() if name not in _FREE}
    if isinstance(trainer, Mapping):
        decisive["trainer"] = {name: value for name, value in trainer.items() if name not in _FREE_TRAINER}
    return decisive


def seconds_of(duration: object) -> float | None:
    """Return the seconds of a ``max_time`` as Lightning writes it, ``DD:HH:MM:SS``; None for no limit, else UserError.

    >>> seconds_of("00:01:30:00")
    5400.0
    """
    if duration is None:
        return None
    matched = re.fullmatch(r"(\d{1,4}):(\d{1,2}):(\d{1,2}):(\d{1,2})", str(duration), re.ASCII)
    if matched is None:
        raise UserError(f"--trainer.max_time {duration}: expected days:hours:minutes:seconds, such as 00:08:00:00")
    days, hours, minutes, seconds = map(int, matched.groups())
    return float(((24 * days + hours) * 60 + minutes) * 60 + seconds)


@dataclass(frozen=True)
class PickRun:
    """The wandb run of a pick."""

    mode: str
    project: str
    group: str
    """Shared by all runs of the run folder."""
    id: str
    """Other settings are another run, since wandb cannot take back what it was sent of the first."""
    name: str
    """Also that of the pick's folder."""
    artifacts: bool = False
    """Keep the best checkpoint in wandb."""
    logger: str = "wandb"
    """What shows it, too."""

    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class SavedPick:
    """A pick's folder, as its process reads it."""

    settings: PickSettings
    run: PickRun
    accumulate: int = 1
    """Parts in which each mini-batch is taken; 2 after a retry for want of memory."""

    def half(self) -> int | None:
        """Return the images on a device of half a step; None where it is halved already or cannot be."""
        per_device = self.settings.values.batch_size // self.settings.processes
        if self.accumulate != 1 or per_device < 4 or per_device % 2:
            return None
        return int(per_device // 2)


def prepare_pick(
    run_dir: Path,
    settings: PickSettings,
    run: PickRun,
    overwrite: bool,
    images: str | None = None,
    selection: str | None = None,
) -> Path:
    """Write the settings of a pick into its folder, which belongs to one set of them and of images; return the folder.

    With ``overwrite`` it begins anew where these differ. ``images`` is the fingerprint of the data set, if it was
    loaded; ``selection`` is how the pick was chosen, noted beside how it was chosen before. UserError where it was
    trained with other settings, or its settings are damaged.
    """
    folder = run_dir / "picks" / run.name
    if folder.is_symlink():
        raise UserError(f"{folder} is a link, but a run keeps a folder here: move it away, or remove it")
    selections = dict.fromkeys((*read_selections(folder), *filter(None, (selection,))))
    plain = {**settings.to_plain(), "selections": ",".join(selections), "options": settings.options(), _IMAGES: images}
    if (folder / "config.yaml").exists():
        saved = _read_plain(folder, "config.yaml")
        plain[_IMAGES] = images or saved.get(_IMAGES)
        changed = differing(decisive_settings(saved), decisive_settings(plain))
        if changed and not overwrite:
            raise UserError(
                f"{folder} was trained with different settings: {'; '.join(changed)}; "
                "restore them, choose another --run_dir, or use --overwrite to retrain it"
            )
        if changed:
            wandb = saved.get("wandb")
            # A pick is one of this run's where its wandb run bears the run's id.
            if not isinstance(wandb, Mapping) or str(wandb.get("id")).partition("-")[0] != run.id.partition("-")[0]:
                raise UserError(
                    f"{folder} was not made by this run, so nothing is removed; move it away, or remove it yourself"
                )
            remove_within(run_dir, folder)
    atomic_write(folder / "config.yaml", yaml.safe_dump({**plain, "wandb": asdict(run)}, sort_keys=False))
    return folder


def read_pick(folder: Path) -> SavedPick:
    """Return the settings of a pick's folder; UserError where they are damaged."""
    plain = _read_plain(folder, "config.yaml")
    retry = _read_plain(folder, _RETRY) if (folder / _RETRY).exists() else {"accumulate": 1}
    try:
        run = from_plain(PickRun, plain.get("wandb"))
        accumulate = retry.get("accumulate")
        if type(accumulate) is not int or accumulate < 1:
            raise ValueError(f"accumulate: {accumulate!r}, expected a whole number from 1")
        return SavedPick(PickSettings.from_plain(plain), run, accumulate)
    except ValueError as error:
        raise _damaged(folder, str(error)) from None


def write_retry(folder: Path, accumulate: int) -> None:
    """Let a pick take each of its steps in parts from now on; its settings stay as they are."""
    atomic_write(folder / _RETRY, yaml.safe_dump({"accumulate": accumulate}))


def _read_plain(folder: Path, name: str) -> dict[str, Any]:
    content = (folder / name).read_bytes()
    try:
        plain = parse_yaml(content.decode())
    except ValueError as error:
        raise _damaged(folder, str(error)) from None
    if not isinstance(plain, dict):
        raise _damaged(folder, f"{name} holds no settings")
    return plain


def _damaged(folder: Path, reason: str) -> UserError:
    return UserError(
        f"the settings of {folder} are damaged (config.yaml, {_RETRY}; {reason}): remove the folder and run naswot "
        "train again"
    )
