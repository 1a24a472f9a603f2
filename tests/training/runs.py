"""Trainings of seconds, in this process where no process is meant, and what they leave."""

import csv
import json
import signal
import time
from dataclasses import replace

import torch

from naswot_lightning.cli.train import train_and_compare
from naswot_lightning.config import TrainConfig, WandbConfig
from naswot_lightning.spaces import trust
from naswot_lightning.storage.run_folder import RunFolder
from naswot_lightning.training.pick import train_pick
from naswot_lightning.training.plan import plan_training
from naswot_lightning.training.progress import Outcome
from naswot_lightning.training.run import load_images, prepare_picks
from naswot_lightning.training.trainer import silence_lightning
from tests.conftest import ROOT

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
OWN = "tests.own_networks.networks"


def config_of(run, data, **options) -> TrainConfig:
    """The smallest network of all by default, trained on a folder of images for one epoch."""
    if "architecture" not in options and options.get("top") is None:
        options = {"architecture": "plain", "space": OWN, **options}
        trust(OWN)
    common = {
        "run_dir": str(run), "dataset": "imagefolder", "data_dir": str(data), "epochs": 1, "batch_size": 6,
        "probe_batch_size": 6, "early_points": 2, "wandb": WandbConfig("disabled"),
    }  # fmt: skip
    return TrainConfig(**{**common, **options})


def words_of(config: TrainConfig) -> list[str]:
    """The command of these settings."""
    names = ("run_dir", "architecture", "space", "seeds", "dataset", "data_dir", "epochs", "batch_size", "early_points",
             "probe_batch_size", "workers", "threads")  # fmt: skip
    chosen = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    words = [str(ROOT / "train.py"), "--wandb.mode", config.wandb.mode]
    return words + [str(word) for name, value in chosen.items() for word in (f"--{name}", value)]


def prepared(config: TrainConfig):
    """The folder of the one pick of these settings, ready for its process."""
    silence_lightning()
    training = plan_training(config)
    (folder,) = prepare_picks(training, load_images(training))
    return folder


class Here:
    """An executor that trains in this process, which spares each pick the start of its own."""

    def run(self, task, items):
        for folder in items:
            yield folder, train_in_this_process(folder, task.images)


def train_in_this_process(folder, images) -> Outcome:
    silence_lightning()
    result = keeping_handlers(lambda: train_pick(folder, images))
    outcome = Outcome(result.status, result.reason)
    outcome.write(folder)
    return outcome


def train_here(config: TrainConfig) -> int:
    """Train and compare as the command does, in this process."""
    return train_and_compare(replace(plan_training(config), executor=Here()))


def keeping_handlers(train):
    """Call a training, which takes the signals of this process."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    try:
        return train()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def count_points(config):
    return sum(len(path.read_text().splitlines()) for path in RunFolder(config.run_dir).picks.glob("*/trajectory.csv"))


def checkpoints_of(config):
    return [torch.load(path, weights_only=True) for path in RunFolder(config.run_dir).picks.glob("*/last.ckpt")]


def wait_for_points(process, config, count):
    """Wait until more than so many lines of trajectories are written."""
    deadline = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        if count_points(config) > count:
            break
        time.sleep(0.002)
    assert process.poll() is None, process.stderr.read()


def outcome_of(pick):
    """All that a training leaves, seconds aside: result, tables and weights."""
    result = json.loads((pick / "result.json").read_text())
    weights = torch.load(pick / "last.ckpt", weights_only=True)["state_dict"]
    return (
        {name: value for name, value in result.items() if name != "seconds"},
        table(pick / "metrics.csv"),
        table(pick / "trajectory.csv"),
        {name: tensor.tolist() for name, tensor in weights.items()},
    )


def table(path):
    """The rows of a CSV file, seconds aside."""
    with open(path, newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
