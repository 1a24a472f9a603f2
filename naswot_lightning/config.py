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
_MOST_SAMPLES = 10_000_000, "each candidate takes 1 kB of memory; split the search by --seed"


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
    """Whether wandb uploads. auto takes WANDB_MODE from the environment if it is set; otherwise it is online with an
    API key and offline without one. It never prompts."""
    project: str | None = None
    """The wandb project. Default: WANDB_PROJECT from the environment, or else naswot-lightning."""
    group: str | None = None
    """The wandb group of all runs of this run folder. Default: the folder's name."""
    artifacts: bool = False
    """Also upload the ranking and the best checkpoint of each pick to wandb."""

    def __post_init__(self) -> None:
        for name, text in (("project", self.project), ("group", self.group)):
            if text is not None and (not 0 < len(text) <= 128 or set(text) & set("/\\#?%:") or not text.isprintable()):
                raise UserError(f"--wandb.{name} {text!r}: expected 1 to 128 characters other than / \\ # ? % :")


@dataclass
class SearchConfig:
    """Rank untrained networks of a search space by their score."""

    # Which networks are ranked.
    space: str = field(default="nasbench201", metadata=affects("candidates"))
    """The search space: {spaces}, or your own (module.name)."""
    algorithm: str = field(default="random", metadata=affects("candidates"))
    """The algorithm that proposes candidates: {algorithms}, or your own (module.name)."""
    samples: int | Literal["all"] = field(default=1000, metadata=affects("candidates", least=1, most=_MOST_SAMPLES))
    """The number of candidates (N in Algorithm 1), or all for the whole space."""
    architectures: str | None = field(default=None, metadata=affects("candidates"))
    """Rank the architectures of this file instead of sampling: one per line, or a CSV file with a column arch or
    architecture."""
    max_params: int | None = field(default=None, metadata=affects("candidates", least=1))
    """Score only networks with at most this many parameters."""
    max_macs: int | None = field(default=None, metadata=affects("candidates", least=1))
    """Score only networks with at most this many multiply-accumulate operations (MACs) per image."""
    max_model_mb: float | None = field(default=None, metadata=affects("candidates", least=0))
    """Score only networks whose parameters and buffers (32 bits each) take at most this many megabytes (10^6 bytes)."""
    max_memory_mb: float | None = field(default=None, metadata=affects("candidates", least=0))
    """Score only networks whose peak memory in a forward pass of --latency_batch images (weights, images and
    activations) is at most this many megabytes."""
    max_latency_ms: float | None = field(default=None, metadata=affects("candidates", least=0))
    """Score only networks with at most this latency, according to --latency_table or --latency predicted."""
    latency_table: str | None = field(default=None, metadata=affects("candidates"))
    """A CSV file of latencies with the columns architecture and latency_ms (or FILE:COLUMN for another column), to show
    in the ranking. Candidates without a latency in it are not scored."""
    canonical: bool = field(default=True, metadata=affects("candidates", "scores"))
    """Remove dead branches before scoring, and score equal networks once. With false, networks are scored as written,
    as in the paper."""
    budget: float | None = field(default=None, metadata=affects("candidates", least=0))
    """Stop proposing candidates after this many seconds of training, as measured or as recorded in the table."""
    seed: int = field(default=0, metadata=affects("candidates", "scores", least=0, most=_MOST_SEED))
    """Seed of the candidates, the probe batch and the weights."""

    # The data set of the mini-batch.
    dataset: str = field(default="digits", metadata=affects("scores", "training"))
    """The data set of the probe batch (the images that networks are scored on): {datasets}, noise, your own
    (module.name), or a Hugging Face data set on disk (hf:FOLDER)."""
    data_dir: str = field(default="data", metadata=affects("source"))
    """The folder of the data set."""
    image_size: int | None = field(default=None, metadata=affects("scores", "training", least=1, most=_MOST_SIDE))
    """Resize the images of an imagefolder, or of your own data set, to this side in pixels. Default: keep their
    size."""
    split_file: str | None = field(default=None, metadata=affects("source"))
    """The file of the official x-valid and x-test lists of cifar100 or imagenet16-120, used when picks are trained."""
    batch_size: int = field(default=128, metadata=affects("scores", least=2, most=_MOST_IMAGES))
    """Number of images in the probe batch."""
    probe_size: int | None = field(default=None, metadata=affects("scores", least=1, most=_MOST_SIDE))
    """Resize the probe batch to this side in pixels before scoring. Default: keep its size."""

    # How they are scored.
    evaluator: str = field(default="scores", metadata=affects("candidates"))
    """How architectures are evaluated: {evaluators}, or your own (module.name). scores needs no training, table looks
    up accuracies in --benchmark, and train trains each candidate briefly."""
    epochs: int | None = field(default=None, metadata=affects("training", least=1, most=_MOST_EPOCHS))
    """With --evaluator train or table: training epochs per candidate. Default: 12."""
    benchmark: str | None = field(default=None, metadata=affects("source"))
    """A table of known accuracies (made by naswot benchmarks convert), to show in the ranking and to search by with
    --evaluator table."""
    benchmark_dataset: str | None = field(default=None, metadata=affects("training"))
    """The data set whose accuracies to take from --benchmark. Default: that of --dataset."""
    score: str = field(default="naswot", metadata=affects("scores"))
    """The score to rank by: {scores}, or your own (module.name). diversity finds the best picks within one space.
    Several scores become columns, and the first one ranks (naswot,synflow). Scores joined by + rank by the mean of
    log(rank / n) (jacob_cov+params), or by the mean rank (jacob_cov+params:mean_rank)."""
    repeats: int = field(default=1, metadata=affects("scores", least=1, most=_MOST_REPEATS))
    """Score each network this many times, each time with new weights and a new probe batch. The ranking has the mean
    and the standard deviation."""
    precision: Literal["32", "bf16"] = field(default="32", metadata=affects("scores"))
    """Precision of the forward pass: 32, or bf16 (autocast)."""
    units: Units = field(default="rectifiers", metadata=affects("scores"))
    """Which units count in scores of activation codes: rectifiers (ReLUs, as in the paper); all, which adds smooth
    activations such as GELU and SiLU (on where their input is positive); or auto, which is all for networks without
    rectifiers and rectifiers for the others."""
    calibrate: bool = field(default=False, metadata=affects("display"))
    """Instead of searching, measure on up to 100 candidates how fast cheaper settings of naswot are and how well they
    rank, and recommend one."""

    # What runs them.
    device: str = field(default="auto", metadata=affects("machine"))
    """The device to score on: auto, cpu, cuda, cuda:1, ..."""
    engine: str = field(default="local", metadata=affects("machine"))
    """Where workers run: {engines}, or your own (module.name)."""
    workers: int | None = field(default=None, metadata=affects("machine", least=1, most=_MOST_WORKERS))
    """Number of worker processes, with one thread each. Default: one per core, or --workers_per_gpu per GPU; a single
    process if the search takes less than half a minute."""
    workers_per_gpu: int | None = field(default=None, metadata=affects("machine", least=1, most=_MOST_WORKERS))
    """Number of worker processes per GPU, instead of --workers. Default: 4 with --engine local, which suits small
    networks (it is not tuned to your GPU), and 1 with other engines."""
    timeout: float | None = field(default=None, metadata=affects("machine", least=1))
    """Seconds before a candidate counts as hung. Its worker is stopped, and the candidate is tried once more."""
    shard: str | None = field(default=None, metadata=affects("candidates"))
    """Score only one part of the candidates, such as 2/4 for the second of four. Give each part its own --run_dir, and
    join them with naswot merge."""
    slurm: dict[str, PlainValue] = field(default_factory=dict, metadata=affects("machine"))
    """Options of the SLURM jobs of --engine slurm: --slurm.NAME VALUE, such as --slurm.partition gpu."""
    train: dict[str, PlainValue] = field(default_factory=dict, metadata=affects("training"))
    """Options of naswot train for --evaluator train: --train.NAME VALUE, such as --train.batch_size 128."""

    # What the networks of the ranking take on a device.
    measure: str | None = field(default=None, metadata=affects("display"))
    """Columns to add once all candidates are scored: latency (latency_ms, measured), memory (peak_memory_mb and
    model_mb, computed), or latency,memory."""
    measure_top: int = field(default=100, metadata=affects("display", least=1))
    """With --measure latency: measure the best this many networks; each takes about a second."""
    latency: Literal["predicted"] | None = field(default=None, metadata=affects("candidates"))
    """predicted: predict the latency of every candidate, for the ranking and --max_latency_ms, from operators and 40
    networks of the space that are measured once on the device (one to three minutes)."""
    latency_device: str = field(default="cpu", metadata=affects("candidates"))
    """The device on which latencies are measured: cpu, cuda, cuda:1, ..."""
    latency_batch: int = field(default=1, metadata=affects("candidates", least=1, most=_MOST_IMAGES))
    """Images per forward pass, for latencies and memory."""
    latency_threads: int = field(default=1, metadata=affects("candidates", least=1, most=_MOST_DEVICES))
    """CPU threads when latencies are measured."""
    latency_runtime: Literal["torch", "compiled", "onnxruntime"] = field(
        default="torch", metadata=affects("candidates")
    )
    """The runtime whose latencies are measured: torch, compiled (torch.compile), or onnxruntime."""
    latency_precision: Literal["32", "bf16"] = field(default="32", metadata=affects("candidates"))
    """Precision of weights and images with --latency_runtime torch or compiled."""
    latency_channels_last: bool = field(default=False, metadata=affects("candidates"))
    """Measure latencies with images in channels_last memory format."""

    # What becomes of the ranking.
    objectives: str | None = field(default=None, metadata=affects("candidates"))
    """Columns of the ranking to optimise together, such as robust,latency_ms. Scores are maximised and costs minimised;
    NAME:max and NAME:min override this. Adds a column pareto_rank, which is 1 on the Pareto front."""
    top: int = field(default=10, metadata=affects("display", least=1))
    """Number of architectures to print."""
    select: Select = field(default="top", metadata=affects("display"))
    """How naswot train picks from the ranking: top, spread (evenly over the ranking), or pareto (along the front of
    --objectives)."""
    run_dir: str = field(default="runs/search", metadata=affects("machine"))
    """The run folder. The same command continues an unfinished run in it."""
    overwrite: bool = field(default=False, metadata=affects("display"))
    """Start over if run_dir was made with different settings."""
    trust: bool = field(default=False, metadata=affects("display"))
    """Allow a --config file to name your own code by import path (as space, dataset, ...), which is then run."""
    logger: str = field(default="wandb", metadata=affects("display"))
    """Where to log the run: {loggers}, or your own (module.make_logger); separate several by commas."""
    wandb: WandbConfig = field(default_factory=WandbConfig, metadata=affects("display"))
    """Options of the wandb logger."""

    def __post_init__(self) -> None:
        _check_bounds(self)
        side = self.probe_size or self.image_size or 32
        if 12 * self.batch_size * side**2 > _MOST_BYTES:
            raise UserError(
                f"--batch_size {self.batch_size} with {side} x {side} images: the images alone take "
                f"{12 * self.batch_size * side**2 / 2**30:.0f} GiB; use fewer, or make them smaller with --probe_size"
            )
        if self.select == "pareto" and self.objectives is None:
            raise UserError("--select pareto: a Pareto front needs several objectives; name them with --objectives")
        if self.part() and self.calibrate:
            raise UserError(f"--shard {self.shard} and --calibrate do not go together; leave one of them out")

    def part(self) -> tuple[int, int] | None:
        """Return the numbers of ``shard``: which part, and of how many; None for all candidates."""
        if self.shard is None:
            return None
        found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", self.shard, re.ASCII)
        if not found or int(found[1]) > int(found[2]):
            raise UserError(f"--shard {self.shard}: expected PART/PARTS, such as 2/4 for the second of four")
        return int(found[1]), int(found[2])


@dataclass
class MergeConfig:
    """Merge the shards of a search into one run folder."""

    run_dir: str
    """The run folder to write. The same command continues an unfinished merge."""
    shards: list[str] = field(default_factory=list)
    """The run folders of all shards. The option's name may be left out: --run_dir NEW SHARD SHARD ..."""
    architectures: str | None = None
    """The path of the --architectures file on this machine. Default: the path that the shards used."""
    data_dir: str | None = None
    """The folder of the data set on this machine. Default: the folder that the first shard used."""
    space: str | None = None
    """The space of the shards if it is your own (module.name); naming it here allows its code to be imported."""
    trust: bool = False
    """Allow the shards to name your own code by import path (as space, dataset, ...), which is then run."""
    overwrite: bool = False
    """Start over if run_dir was made with different settings."""
    wandb: WandbConfig = field(default_factory=WandbConfig)
    """Options of the wandb logger."""


@dataclass
class TrainConfig:
    """Train the picks of a ranking, each in its own process, and compare them."""

    # Which networks are trained, and with which seeds.
    run_dir: str = field(default="runs/search", metadata=affects("machine"))
    """The run folder of a search; with --architecture, it may be new."""
    top: int = field(default=3, metadata=affects("candidates", least=1))
    """Number of architectures to train."""
    select: Select | None = field(default=None, metadata=affects("candidates"))
    """How to pick from the ranking: top, spread (evenly over the ranking), or pareto (along the front of its
    objectives). Default: as in the search."""
    picks: str | int | None = field(default=None, metadata=affects("candidates"))
    """The ranks to train, such as 1,5,10-12, or all; replaces --top and --select."""
    controls: int = field(default=0, metadata=affects("candidates", least=0))
    """Also train this many random candidates of the search, and report what the picks gain over them."""
    architecture: str | None = field(default=None, metadata=affects("candidates"))
    """Train this one architecture instead of picks of a ranking."""
    space: str | None = field(default=None, metadata=affects("candidates"))
    """The search space of --architecture. Default: as in the search."""
    canonical: bool = field(default=True, metadata=affects("candidates"))
    """With --architecture: remove dead branches before training. Picks of a ranking are trained as they were scored."""
    seed: int | None = field(default=None, metadata=affects("candidates", least=0, most=_MOST_SEED))
    """Seed of the weights, the order of images and the augmentation. Default: as in the search."""
    seeds: str | int | list[int] | None = field(default=None, metadata=affects("candidates"))
    """Train each pick once with each of these seeds, such as 777,888,999; the comparison reports the mean and the
    standard deviation."""
    overwrite: bool = field(default=False, metadata=affects("display"))
    """Retrain picks whose results were made with different settings or images."""
    trust: bool = field(default=False, metadata=affects("display"))
    """Allow the run folder or a --config file to name your own code by import path (as space, dataset, ...), which is
    then run."""

    # What they are trained on.
    dataset: str | None = field(default=None, metadata=affects("training"))
    """The data set to train on: {datasets}, your own (module.name), or a Hugging Face data set on disk (hf:FOLDER).
    Default: as in the search."""
    data_dir: str | None = field(default=None, metadata=affects("source"))
    """The folder of the data set. Default: as in the search."""
    image_size: int | None = field(default=None, metadata=affects("training", least=1, most=_MOST_SIDE))
    """Resize the images of an imagefolder to this side in pixels. Default: as in the search."""
    split_file: str | None = field(default=None, metadata=affects("source"))
    """The file of the official x-valid and x-test lists of cifar100 or imagenet16-120. Default: as in the search."""

    # How they are trained: a recipe, and what differs from it.
    recipe: str = field(default="nasbench201-200", metadata=affects("training"))
    """The training recipe of a benchmark: {recipes}. The options from --epochs to --drop_path override parts of it."""
    epochs: int | None = field(default=None, metadata=affects("training", least=1, most=_MOST_EPOCHS))
    """Number of training epochs. The learning rate decays to zero over them (cosine)."""
    batch_size: int | None = field(default=None, metadata=affects("training", least=2, most=_MOST_BATCH))
    """Images per training step, over all devices."""
    optimizer: Literal["sgd", "rmsprop", "adamw"] | None = field(default=None, metadata=affects("training"))
    """sgd (Nesterov), rmsprop, or adamw (which sets the learning rate to 0.001 and the weight decay to 0.05)."""
    lr: float | None = field(default=None, metadata=affects("training", least=0))
    """Initial learning rate."""
    warmup_epochs: int | None = field(default=None, metadata=affects("training", least=0))
    """Epochs of linear learning rate warm-up. Default: 0."""
    momentum: float | None = field(default=None, metadata=affects("training", least=0))
    """Momentum of the optimizer."""
    weight_decay: float | None = field(default=None, metadata=affects("training", least=0))
    """L2 penalty on all parameters."""
    gradient_clip: float | None = field(default=None, metadata=affects("training", least=0))
    """Clip the gradient to this norm."""
    flip: bool | None = field(default=None, metadata=affects("training"))
    """Mirror training images at random. Default: true, except for digits."""
    crop_padding: int | None = field(default=None, metadata=affects("training", least=0, most=_MOST_SIDE))
    """Pad each training image with this many zeros on each side, and crop at random. Default: an eighth of its side."""
    class_weights: bool | None = field(default=None, metadata=affects("training"))
    """Weight the training loss so that every class counts equally, however many images it has. Default: false."""

    # Targets, heads and paths; of the recipe, too.
    label_smoothing: float | None = field(default=None, metadata=affects("training"))
    """Label smoothing: the share of the target that is spread over all classes."""
    auxiliary_weight: float | None = field(default=None, metadata=affects("training", least=0))
    """Loss weight of the auxiliary head (cell spaces nds_* only); 0 for no head."""
    drop_path: float | None = field(default=None, metadata=affects("training"))
    """Drop path probability in the last epoch, growing from 0 in the first (cell spaces nds_* only)."""

    # The score during training.
    early_points: int = field(default=8, metadata=affects("training", least=0, most=_MOST_POINTS))
    """How often to score the network during training in each of the first two epochs (left panel of Figure 6)."""
    probe_batch_size: int | None = field(default=None, metadata=affects("training", least=2, most=_MOST_IMAGES))
    """Images in the probe batch, on which the network is scored during training. Default: as in the search (128)."""
    probe_split: ProbeSplit = field(default="train", metadata=affects("training"))
    """Where the probe batch comes from: training images, or test images, which the network never learns from."""
    score_batch_norm: ScoreBatchNorm = field(default="batch", metadata=affects("training"))
    """BatchNorm statistics while scoring: of the probe batch (batch, as in the paper), running, or both, one score
    for each."""
    units: Units | None = field(default=None, metadata=affects("training"))
    """Which units the score counts: rectifiers, all, or auto (see naswot search --help). Default: as in the search."""

    # What trains a pick.
    precision: str = field(default="32-true", metadata=affects("training"))
    """Precision of Lightning's Trainer, such as 32-true, bf16-mixed or 16-mixed."""
    compile: bool | Literal["reduce-overhead"] = field(default=False, metadata=affects("training"))
    """Train with torch.compile; reduce-overhead selects its mode with CUDA graphs."""
    deterministic: bool = field(default=False, metadata=affects("training"))
    """Fail on operations that are not deterministic."""
    accelerator: str = field(default="auto", metadata=affects("machine"))
    """Accelerator of Lightning's Trainer: auto, cpu, gpu, ..."""
    engine: str = field(default="local", metadata=affects("machine"))
    """Where picks are trained: {engines}, or your own (module.name)."""
    workers: int | None = field(default=None, metadata=affects("machine", least=1, most=_MOST_DEVICES))
    """Number of picks to train in parallel. Default: one per GPU, or one per core."""
    threads: int | None = field(default=None, metadata=affects("machine", least=1, most=_MOST_DEVICES))
    """CPU threads per pick. Default: the cores, divided among the workers."""
    devices: int = field(default=1, metadata=affects("machine", least=1, most=_MOST_DEVICES))
    """Devices per node that train one pick together."""
    num_nodes: int = field(default=1, metadata=affects("machine", least=1, most=_MOST_DEVICES))
    """Nodes that train one pick together; start the command once per device, with srun or torchrun."""
    slurm: dict[str, PlainValue] = field(default_factory=dict, metadata=affects("machine"))
    """Options of the SLURM jobs of --engine slurm: --slurm.NAME VALUE, such as --slurm.partition gpu."""
    strategy: str = field(default="auto", metadata=affects("machine"))
    """Strategy of Lightning's Trainer, such as ddp."""
    trainer: dict[str, PlainValue] = field(default_factory=dict, metadata=affects("training"))
    """Any other argument of Lightning's Trainer: --trainer.NAME VALUE."""

    # Where runs are shown.
    logger: str = field(default="wandb", metadata=affects("display"))
    """Where to log the run: {loggers}, or your own (module.make_logger); separate several by commas."""
    wandb: WandbConfig = field(default_factory=WandbConfig, metadata=affects("display"))
    """Options of the wandb logger."""

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
                f"--num_nodes {self.num_nodes}: all nodes train one pick at a time; leave out --engine and --workers"
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
            raise UserError(f"--seed {self.seed} and --seeds {self.seeds}: give only one of them")
        return seeds


@dataclass
class ExportConfig:
    """Export a trained model into a folder that runs without this package."""

    run_dir: str = "runs/search"
    """The run folder of naswot train."""
    pick: str | int = "best"
    """The pick to export: best (the highest validation accuracy), a rank, or the name of a folder in picks/."""
    format: str = "state_dict,pt2"
    """Formats to write, separated by commas: state_dict (weights only), pt2 (a torch.export program, which needs only
    torch), onnx."""
    output: str = "model"
    """The folder to write."""
    trust: bool = False
    """Allow the run folder to name your own space by import path, whose code is then run."""


@dataclass
class PredictConfig:
    """Classify images with a model that naswot export wrote."""

    images: list[str] = field(default_factory=list)
    """Image files, or folders of images. The option's name may be left out."""
    model: str = "model"
    """The folder of the model, or a run folder, whose best pick is used."""
    csv: str | None = None
    """Also write the predictions to this CSV file: image, class, probability."""
    batch_size: int = field(default=64, metadata=affects("machine", least=1))
    """Images per forward pass."""
    trust: bool = False
    """Allow the model to name your own space by import path, whose code is then run."""

    def __post_init__(self) -> None:
        _check_bounds(self)
