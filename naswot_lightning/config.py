"""The settings of the two commands: plain types, checked once, written to the run folder.

An option is called as its field. ``{...}`` is a list of names, filled in by the command. Each option says what it
affects: the identity of a run folder, what a merge compares, what the page and a comparison of runs show, and what
wandb gets all follow from that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from naswot_lightning.errors import UserError

WandbMode = Literal["auto", "online", "offline", "disabled"]
Select = Literal["top", "spread", "pareto"]
ProbeSplit = Literal["train", "test"]
ScoreBatchNorm = Literal["batch", "running", "both"]
Units = Literal["rectifiers", "all", "auto"]
CONFIGS = Path(__file__).parent / "configs"  # what is shipped: --config quickstart is search/quickstart.yaml
Plain = None | bool | int | float | str
# Never an object, which a file could name.
PlainValue = Plain | list[Plain]
Affected = Literal[
    "candidates",  # which networks there are
    "scores",  # at initialization
    "training",  # of the picks, or of candidates that are trained
    "source",  # a path to files whose content decides: a fingerprint tells whether they are the same
    "machine",  # what computes, and where the files lie; no result
    "display",  # what is printed, shown and kept, and where
]

# Of a mini-batch.
_MOST_BYTES = 4 * 2**30
# Upper bounds, and why there is one.
_MOST_SEED = 2**32 - 1, "seeds have 32 bits"
_MOST_IMAGES = 10_000, "the kernel of N images takes 8 N^2 bytes"
_MOST_SIDE = 2_048, "no benchmark has larger images"
_MOST_EPOCHS = 100_000, "each is a row of every table"
_MOST_DEVICES = 1_024, "no machine has more"
_MOST_WORKERS = 1_024, "each worker takes half a gigabyte"
_MOST_REPEATS = 1_000, "each repeat takes as long as the first"
_MOST_POINTS = 1_000, "each takes as long as a score"
_MOST_BATCH = 1_000_000, "no device holds more"
_MOST_SAMPLES = 10_000_000, "a row a candidate is held in memory, 1 kB each; split the search by --seed"


def affects(*what: Affected, least: float | None = None, most: tuple[int, str] | None = None) -> dict[str, Any]:
    """Return the metadata of an option's field: what it affects, and the bounds of its numbers."""
    return {"affects": frozenset(what), "least": least, "most": most}


def settings_affecting(settings: Any, *what: Affected) -> tuple[str, ...]:
    """Return the names of the options that affect any of these, in their order.

    >>> settings_affecting(SearchConfig, "machine")
    ('device', 'engine', 'workers', 'workers_per_gpu', 'timeout', 'slurm', 'run_dir')
    """
    return tuple(each.name for each in fields(settings) if each.metadata.get("affects", set()) & set(what))


def result_settings(settings: Any, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some saved settings that can change a result, in their order."""
    without_effect = {each.name for each in fields(settings)} - set(
        settings_affecting(settings, "candidates", "scores", "training", "source")
    )
    return {name: value for name, value in saved.items() if name not in without_effect}


def _check_bounds(settings: Any) -> None:
    for option in fields(settings):
        value, least, most = getattr(settings, option.name), option.metadata.get("least"), option.metadata.get("most")
        # What is not given, and a word such as "all", have no bounds.
        if not isinstance(value, int | float):
            continue
        # NaN compares with nothing, and neither it nor infinity can be kept in the files of a run.
        if least is not None and not least <= value < math.inf:
            raise UserError(f"--{option.name} {value}: expected at least {least}")
        if most is not None and value > most[0]:
            raise UserError(f"--{option.name} {value}: expected at most {most[0]:,}; {most[1]}")


@dataclass
class WandbConfig:
    """Where runs are shown."""

    mode: WandbMode = "auto"
    """auto is WANDB_MODE of the environment, or else online where an API key is set and offline otherwise; it never
    asks."""
    project: str | None = None
    """the wandb project; WANDB_PROJECT of the environment, or else naswot-lightning, by default."""
    group: str | None = None
    """the group of the runs of one run folder; its own name by default."""
    artifacts: bool = False
    """keep the ranking and the best checkpoint of each pick in wandb, too."""

    def __post_init__(self) -> None:
        for name, text in (("project", self.project), ("group", self.group)):
            if text is not None and (not 0 < len(text) <= 128 or set(text) & set("/\\#?%:") or not text.isprintable()):
                raise UserError(f"--wandb.{name} {text!r}: expected 1 to 128 characters other than / \\ # ? % :")


@dataclass
class SearchConfig:
    """Rank untrained networks of a search space by their score."""

    # Which networks are ranked.
    space: str = field(default="nasbench201", metadata=affects("candidates"))
    """the search space: {spaces}, or one of your own (module.name)."""
    algorithm: str = field(default="random", metadata=affects("candidates"))
    """where candidates come from: {algorithms}, or one of your own (module.name)."""
    samples: int | Literal["all"] = field(default=1000, metadata=affects("candidates", least=1, most=_MOST_SAMPLES))
    """candidates to draw (N of Algorithm 1), or all of the space."""
    architectures: str | None = field(default=None, metadata=affects("candidates"))
    """a file with one architecture a line (or a CSV file with a column arch or architecture) to rank instead of
    sampling."""
    max_params: int | None = field(default=None, metadata=affects("candidates", least=1))
    """score only networks with at most so many parameters."""
    max_macs: int | None = field(default=None, metadata=affects("candidates", least=1))
    """score only networks with at most so many multiply-accumulates an image."""
    max_model_mb: float | None = field(default=None, metadata=affects("candidates", least=0))
    """score only networks whose parameters and buffers take at most so many megabytes (10^6 bytes, of 32 bits each)."""
    max_memory_mb: float | None = field(default=None, metadata=affects("candidates", least=0))
    """score only networks of which a forward pass of --latency_batch images holds at most so many megabytes at once:
    weights, images, activations."""
    max_latency_ms: float | None = field(default=None, metadata=affects("candidates", least=0))
    """score only networks with at most such a latency, as --latency_table or --latency predicted says it."""
    latency_table: str | None = field(default=None, metadata=affects("candidates"))
    """a table of latencies (CSV: architecture, latency_ms), which the ranking shows, or FILE:COLUMN for another column
    of it; what it does not know is refused."""
    canonical: bool = field(default=True, metadata=affects("candidates", "scores"))
    """score networks without their dead branches, equal networks once; false for the paper's count."""
    budget: float | None = field(default=None, metadata=affects("candidates", least=0))
    """seconds of training, real ones or those of the table, after which nothing more is proposed."""
    seed: int = field(default=0, metadata=affects("candidates", "scores", least=0, most=_MOST_SEED))
    """seeds the candidates, the mini-batch and the weights."""

    # The data set of the mini-batch.
    dataset: str = field(default="digits", metadata=affects("scores", "training"))
    """where the mini-batch comes from: {datasets}, noise, one of your own (module.name) or of Hugging Face
    (hf:FOLDER)."""
    data_dir: str = field(default="data", metadata=affects("source"))
    """the folder of the data set."""
    image_size: int | None = field(default=None, metadata=affects("scores", "training", least=1, most=_MOST_SIDE))
    """side of the images of an imagefolder, or of data of your own; their own size by default."""
    split_file: str | None = field(default=None, metadata=affects("source"))
    """the official x-valid and x-test lists of cifar100 or imagenet16-120, for the training of the picks."""
    batch_size: int = field(default=128, metadata=affects("scores", least=2, most=_MOST_IMAGES))
    """images in the mini-batch."""
    probe_size: int | None = field(default=None, metadata=affects("scores", least=1, most=_MOST_SIDE))
    """side to which the mini-batch is resized before scoring; its own size by default."""

    # How they are scored.
    evaluator: str = field(default="scores", metadata=affects("candidates"))
    """what says how good an architecture is: {evaluators}, or one of your own (module.name)."""
    epochs: int | None = field(default=None, metadata=affects("training", least=1, most=_MOST_EPOCHS))
    """of --evaluator train and table: how long each candidate is trained; 12 by default."""
    benchmark: str | None = field(default=None, metadata=affects("source"))
    """a table of known accuracies (naswot benchmarks convert), which the ranking shows, or by which
    --evaluator table searches."""
    benchmark_dataset: str | None = field(default=None, metadata=affects("training"))
    """the data set of the table's accuracies; that of --dataset by default."""
    score: str = field(default="naswot", metadata=affects("scores"))
    """the score to rank by: {scores}, or one of your own (module.name); for the best pick
    within a space diversity; several as columns (naswot,synflow), the first decides; joined by + for their ranks put
    together: the mean of log(rank / n) (jacob_cov+params), or of the ranks (jacob_cov+params:mean_rank)."""
    repeats: int = field(default=1, metadata=affects("scores", least=1, most=_MOST_REPEATS))
    """score each network with so many initializations, each on a mini-batch of its own; the ranking holds mean and
    standard deviation."""
    precision: Literal["32", "bf16"] = field(default="32", metadata=affects("scores"))
    """32 or bf16 (autocast) for the forward pass."""
    units: Units = field(default="rectifiers", metadata=affects("scores"))
    """what the scores of codes count: rectifiers, as the paper; all, with those of smooth activations (GELU, SiLU and
    the like), on where their input is positive; auto for all where a network has no rectifier."""
    calibrate: bool = field(default=False, metadata=affects("display"))
    """instead of a search, measure what cheaper settings of naswot cost and how well they rank, on up to 100 of the
    candidates, and recommend one."""

    # What runs them.
    device: str = field(default="auto", metadata=affects("machine"))
    """auto, cpu, cuda, cuda:1, ..."""
    engine: str = field(default="local", metadata=affects("machine"))
    """what runs the candidates: {engines}, or one of your own (module.name)."""
    workers: int | None = field(default=None, metadata=affects("machine", least=1, most=_MOST_WORKERS))
    """processes that score side by side, one thread each; by default one a core, or some a GPU, where the search would
    take longer than half a minute."""
    workers_per_gpu: int | None = field(default=None, metadata=affects("machine", least=1, most=_MOST_WORKERS))
    """processes that share a GPU, in place of --workers; 4 by default with --engine local, for small networks (not
    measured on your GPU), and 1 with others."""
    timeout: float | None = field(default=None, metadata=affects("machine", least=1))
    """seconds after which a candidate counts as hung: its worker is ended, and it is tried once more."""
    shard: str | None = field(default=None, metadata=affects("candidates"))
    """score only a part of the candidates, such as 2/4 for the second of four, in a run folder of its own; naswot merge
    puts the parts together."""
    slurm: dict[str, PlainValue] = field(default_factory=dict, metadata=affects("machine"))
    """options of the jobs of --engine slurm, as --slurm.NAME VALUE, such as --slurm.partition gpu."""
    train: dict[str, PlainValue] = field(default_factory=dict, metadata=affects("training"))
    """options of naswot train for --evaluator train, as --train.NAME VALUE, such as --train.batch_size 128."""

    # What the networks of the ranking take on a device.
    measure: str | None = field(default=None, metadata=affects("display"))
    """columns to add when all are scored: latency (latency_ms, measured), memory (peak_memory_mb and model_mb,
    counted), or both with a comma between them."""
    measure_top: int = field(default=100, metadata=affects("display", least=1))
    """of how many networks, from the best, the latency is measured; each takes about a second."""
    latency: Literal["predicted"] | None = field(default=None, metadata=affects("candidates"))
    """predicted: operators and 40 networks of the space are measured once on the device, in one to three minutes, and
    predict the latency of each candidate, for the ranking and for --max_latency_ms."""
    latency_device: str = field(default="cpu", metadata=affects("candidates"))
    """where latencies are measured: cpu, cuda, cuda:1, ..."""
    latency_batch: int = field(default=1, metadata=affects("candidates", least=1, most=_MOST_IMAGES))
    """images that go through the network together."""
    latency_threads: int = field(default=1, metadata=affects("candidates", least=1, most=_MOST_DEVICES))
    """threads of the CPU."""
    latency_runtime: Literal["torch", "compiled", "onnxruntime"] = field(
        default="torch", metadata=affects("candidates")
    )
    """what runs the network: torch, compiled (torch.compile), or onnxruntime."""
    latency_precision: Literal["32", "bf16"] = field(default="32", metadata=affects("candidates"))
    """of weights and images in torch, compiled or not."""
    latency_channels_last: bool = field(default=False, metadata=affects("candidates"))
    """whether the images lie in channels_last memory."""

    # What becomes of the ranking.
    objectives: str | None = field(default=None, metadata=affects("candidates"))
    """columns of the ranking that candidates are to be good in at once, such as robust,latency_ms: scores shall be high
    and costs low, or as NAME:max and NAME:min say; the ranking then has a column pareto_rank, 1 for the front."""
    top: int = field(default=10, metadata=affects("display", least=1))
    """how many of the ranking to print."""
    select: Select = field(default="top", metadata=affects("display"))
    """which networks naswot train picks: the top, or as many spread evenly over the ranking, or along the front of
    --objectives (pareto)."""
    run_dir: str = field(default="runs/search", metadata=affects("machine"))
    """the folder of all results; the command continues what it finds there."""
    overwrite: bool = field(default=False, metadata=affects("display"))
    """begin anew where run_dir was made with other settings."""
    trust: bool = field(default=False, metadata=affects("display"))
    """import the code that a --config file names by its import path, as space or dataset."""
    logger: str = field(default="wandb", metadata=affects("display"))
    """what shows the run: {loggers}, or one of your own (module.make_logger); several with commas between them."""
    wandb: WandbConfig = field(default_factory=WandbConfig, metadata=affects("display"))
    """where runs are shown."""

    def __post_init__(self) -> None:
        _check_bounds(self)
        side = self.probe_size or self.image_size or 32
        if 12 * self.batch_size * side**2 > _MOST_BYTES:
            raise UserError(
                f"--batch_size {self.batch_size} of {side} x {side} images: they alone take "
                f"{12 * self.batch_size * side**2 / 2**30:.0f} GiB; choose fewer, or smaller ones with --probe_size"
            )
        if self.select == "pareto" and self.objectives is None:
            raise UserError("--select pareto: the front is that of several columns; give --objectives, too")
        if self.part() and self.calibrate:
            raise UserError(f"--shard {self.shard} and --calibrate: a sample is calibrated on; leave one of them out")

    def part(self) -> tuple[int, int] | None:
        """Return the numbers of ``shard``: which part, and of how many; None for all candidates."""
        if self.shard is None:
            return None
        found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", self.shard, re.ASCII)
        if not found or int(found[1]) > int(found[2]):
            raise UserError(f"--shard {self.shard}: expected one of several parts, such as 2/4 for the second of four")
        return int(found[1]), int(found[2])


@dataclass
class MergeConfig:
    """Put the shards of a search together."""

    run_dir: str
    """the folder of the whole search; the command continues what it finds there."""
    shards: list[str] = field(default_factory=list)
    """the run folders of all shards, which need no option: --run_dir NEW SHARD SHARD ..."""
    architectures: str | None = None
    """where the file of the candidates lies here; where it lay for the shards by default."""
    data_dir: str | None = None
    """where the data set lies here; where it lay for the first shard by default."""
    space: str | None = None
    """the space of the shards, where its code is yours (module.name): it is imported."""
    trust: bool = False
    """import the code that the shards name by its import path, as space or dataset."""
    overwrite: bool = False
    """begin anew where run_dir was made with other settings."""
    wandb: WandbConfig = field(default_factory=WandbConfig)
    """where the run is shown."""


@dataclass
class TrainConfig:
    """Train the picks of a ranking, each in its own process, and compare them."""

    # Which networks are trained, and with which seeds.
    run_dir: str = field(default="runs/search", metadata=affects("machine"))
    """the run folder of a search, or a new one with --architecture."""
    top: int = field(default=3, metadata=affects("candidates", least=1))
    """how many of the ranking to train."""
    select: Select | None = field(default=None, metadata=affects("candidates"))
    """the top of the ranking, or spread evenly over it, or along the front of its objectives (pareto); as the search
    said by default."""
    picks: str | int | None = field(default=None, metadata=affects("candidates"))
    """instead of --top and --select: all of the ranking, or ranks such as 1,5,10-12."""
    controls: int = field(default=0, metadata=affects("candidates", least=0))
    """train so many random candidates of the search, too, and say what the picks gain over them."""
    architecture: str | None = field(default=None, metadata=affects("candidates"))
    """one architecture to train instead of a ranking's picks."""
    space: str | None = field(default=None, metadata=affects("candidates"))
    """the search space of --architecture; that of the ranking by default."""
    canonical: bool = field(default=True, metadata=affects("candidates"))
    """with --architecture, train the network without its dead branches; a ranking's own setting otherwise."""
    seed: int | None = field(default=None, metadata=affects("candidates", least=0, most=_MOST_SEED))
    """seeds the weights, the order of images and the augmentation; that of the ranking by default."""
    seeds: str | int | list[int] | None = field(default=None, metadata=affects("candidates"))
    """several seeds, such as 777,888,999: each pick is trained with each, and the comparison has their mean and
    standard deviation."""
    overwrite: bool = field(default=False, metadata=affects("display"))
    """train again picks whose results were made with other settings or images."""
    trust: bool = field(default=False, metadata=affects("display"))
    """import the code that the run folder or a --config file names by its import path, as space or dataset."""

    # What they are trained on.
    dataset: str | None = field(default=None, metadata=affects("training"))
    """the data set to train on; that of the ranking by default. {datasets}, one of your own (module.name) or of Hugging
    Face (hf:FOLDER)."""
    data_dir: str | None = field(default=None, metadata=affects("source"))
    """the folder of the data set; that of the ranking by default."""
    image_size: int | None = field(default=None, metadata=affects("training", least=1, most=_MOST_SIDE))
    """side of the images of an imagefolder; that of the ranking by default."""
    split_file: str | None = field(default=None, metadata=affects("source"))
    """the official x-valid and x-test lists of cifar100 or imagenet16-120; that of the ranking by default."""

    # How they are trained: a recipe, and what differs from it.
    recipe: str = field(default="nasbench201-200", metadata=affects("training"))
    """how a benchmark trains its networks ({recipes}); the options from --epochs to --drop_path override it."""
    epochs: int | None = field(default=None, metadata=affects("training", least=1, most=_MOST_EPOCHS))
    """training epochs; the learning rate falls to zero over them."""
    batch_size: int | None = field(default=None, metadata=affects("training", least=2, most=_MOST_BATCH))
    """images a training step, of all devices together."""
    optimizer: Literal["sgd", "rmsprop", "adamw"] | None = field(default=None, metadata=affects("training"))
    """sgd (Nesterov), rmsprop, or adamw (with a learning rate of 0.001 and a weight decay of 0.05)."""
    lr: float | None = field(default=None, metadata=affects("training", least=0))
    """initial learning rate."""
    warmup_epochs: int | None = field(default=None, metadata=affects("training", least=0))
    """epochs over which the learning rate first rises, step by step; 0 by default."""
    momentum: float | None = field(default=None, metadata=affects("training", least=0))
    """of the optimizer."""
    weight_decay: float | None = field(default=None, metadata=affects("training", least=0))
    """L2 penalty of all parameters."""
    gradient_clip: float | None = field(default=None, metadata=affects("training", least=0))
    """largest norm of the gradient."""
    flip: bool | None = field(default=None, metadata=affects("training"))
    """mirror training images at random; true by default, but for digits."""
    crop_padding: int | None = field(default=None, metadata=affects("training", least=0, most=_MOST_SIDE))
    """zeros around a training image, out of which it is cropped at random; an eighth of its side by default."""
    class_weights: bool | None = field(default=None, metadata=affects("training"))
    """give each class the same weight in the training loss, however many images it has; false by default."""

    # Targets, heads and paths; of the recipe, too.
    label_smoothing: float | None = field(default=None, metadata=affects("training"))
    """share of the target spread over all classes."""
    auxiliary_weight: float | None = field(default=None, metadata=affects("training", least=0))
    """weight of the loss of an auxiliary head (cell spaces nds_*); 0 for no head."""
    drop_path: float | None = field(default=None, metadata=affects("training"))
    """probability of drop path (cell spaces nds_*), growing from 0 over the epochs."""

    # The score during training.
    early_points: int = field(default=8, metadata=affects("training", least=0, most=_MOST_POINTS))
    """score points in each of the first two epochs (left panel of Figure 6)."""
    probe_batch_size: int | None = field(default=None, metadata=affects("training", least=2, most=_MOST_IMAGES))
    """images in the mini-batch of the trajectory; that of the ranking (128) by default."""
    probe_split: ProbeSplit = field(default="train", metadata=affects("training"))
    """where they are from: training images, or test images, which the network never learns from."""
    score_batch_norm: ScoreBatchNorm = field(default="batch", metadata=affects("training"))
    """BatchNorm while the score is taken: by the mini-batch (the paper's), by its running statistics, or one score of
    each."""
    units: Units | None = field(default=None, metadata=affects("training"))
    """what the score counts: rectifiers, all, or auto; as the search said by default."""

    # What trains a pick.
    precision: str = field(default="32-true", metadata=affects("training"))
    """a precision of Lightning's Trainer, such as 32-true, bf16-mixed or 16-mixed."""
    compile: bool | Literal["reduce-overhead"] = field(default=False, metadata=affects("training"))
    """train through torch.compile; reduce-overhead is its mode with CUDA graphs."""
    deterministic: bool = field(default=False, metadata=affects("training"))
    """refuse operations whose result is not the same each time."""
    accelerator: str = field(default="auto", metadata=affects("machine"))
    """auto, cpu, gpu, ..."""
    engine: str = field(default="local", metadata=affects("machine"))
    """what runs the picks: {engines}, or one of your own (module.name)."""
    workers: int | None = field(default=None, metadata=affects("machine", least=1, most=_MOST_DEVICES))
    """picks that train side by side; by default one a GPU, or one a core."""
    threads: int | None = field(default=None, metadata=affects("machine", least=1, most=_MOST_DEVICES))
    """threads of a pick's process; by default the cores, shared out among the workers."""
    devices: int = field(default=1, metadata=affects("machine", least=1, most=_MOST_DEVICES))
    """how many devices train one pick together, on each node."""
    num_nodes: int = field(default=1, metadata=affects("machine", least=1, most=_MOST_DEVICES))
    """how many nodes train one pick together; srun or torchrun starts the command once per device."""
    slurm: dict[str, PlainValue] = field(default_factory=dict, metadata=affects("machine"))
    """options of the jobs of --engine slurm, as --slurm.NAME VALUE, such as --slurm.partition gpu."""
    strategy: str = field(default="auto", metadata=affects("machine"))
    """of Lightning's Trainer, such as ddp."""
    trainer: dict[str, PlainValue] = field(default_factory=dict, metadata=affects("training"))
    """any other argument of Lightning's Trainer, as --trainer.NAME VALUE."""

    # Where runs are shown.
    logger: str = field(default="wandb", metadata=affects("display"))
    """what shows the run: {loggers}, or one of your own (module.make_logger); several with commas between them."""
    wandb: WandbConfig = field(default_factory=WandbConfig, metadata=affects("display"))
    """where runs are shown."""

    def __post_init__(self) -> None:
        for name in ("accelerator", "devices", "num_nodes", "strategy", "deterministic"):
            # The same by Lightning's name.
            if name in self.trainer:
                self.trainer = dict(self.trainer)
                setattr(self, name, self.trainer.pop(name))
        for name, what in (("devices", "devices"), ("num_nodes", "nodes")):
            if not isinstance(value := getattr(self, name), int):
                raise UserError(f"--{name} {value}: expected the number of {what} that train one pick together")
        _check_bounds(self)
        if self.num_nodes > 1 and (self.engine != "local" or (self.workers or 1) > 1):
            raise UserError(
                f"--num_nodes {self.num_nodes}: all nodes train one pick after the other; leave --engine and --workers "
                "out"
            )
        for name, share in (("label_smoothing", self.label_smoothing), ("drop_path", self.drop_path)):
            if share is not None and not 0 <= share < 1:
                raise UserError(f"--{name} {share}: expected at least 0 and less than 1")
        self.all_seeds()

    def all_seeds(self) -> list[int]:
        """Return the numbers of ``seeds``; empty where it is not given."""
        if self.seeds is None:
            return []
        words = self.seeds if isinstance(self.seeds, list) else str(self.seeds).split(",")
        seeds = [int(word) for word in map(str, words) if re.fullmatch(r"\s*\d{1,10}\s*", word, re.ASCII)]
        if not seeds or len(set(seeds)) < len(words) or max(seeds) > _MOST_SEED[0]:
            raise UserError(f"--seeds {self.seeds}: expected different whole numbers from 0, such as 777,888,999")
        if self.seed is not None:
            raise UserError(f"--seed {self.seed} and --seeds {self.seeds}: give one of them")
        return seeds


@dataclass
class ExportConfig:
    """Write a trained model into a folder that runs without this package."""

    run_dir: str = "runs/search"
    """the run folder of naswot train."""
    pick: str | int = "best"
    """best, the pick with the highest validation accuracy; or a rank; or the name of a folder in picks/."""
    format: str = "state_dict,pt2"
    """what to write, separated by commas: state_dict (weights alone), pt2 (the exported program, for torch alone),
    onnx."""
    output: str = "model"
    """the folder to write."""
    trust: bool = False
    """import the space that the run folder names by its import path."""


@dataclass
class PredictConfig:
    """Say what is on images, with a model that export wrote."""

    images: list[str] = field(default_factory=list)
    """files, or folders of them."""
    model: str = "model"
    """the folder of the model, or a run folder, of which the best pick is taken."""
    csv: str | None = None
    """a CSV file to write: image, class, probability."""
    batch_size: int = field(default=64, metadata=affects("machine", least=1))
    """images that go through the network together."""
    trust: bool = False
    """import the space that the model names by its import path."""

    def __post_init__(self) -> None:
        _check_bounds(self)
