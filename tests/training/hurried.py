"""Trainings of seconds of a tiny network, and what their folders hold."""

import csv
import json

from tests.commands.ends import run


def train(folder, data, *words, **kwargs):
    """Train the smallest network of all."""
    common = (
        "--run_dir", folder, "--dataset", "imagefolder", "--data_dir", data, "--batch_size", 6, "--early_points", 2,
        "--probe_batch_size", 4, "--wandb.mode", "disabled",
    )  # fmt: skip
    space = (
        ("--space", "tests.own_networks.networks", "--architecture", "plain") if "--architecture" not in words else ()
    )
    return run("train.py", *common, *space, *words, **kwargs)


def outcome_of(pick):
    """All that a training leaves, seconds aside: result, tables and weights' bytes."""
    import torch

    result = json.loads((pick / "result.json").read_text())
    del result["seconds"]
    weights = torch.load(pick / "last.ckpt", weights_only=True)["state_dict"]
    return (
        result,
        table(pick / "metrics.csv"),
        table(pick / "trajectory.csv"),
        {k: v.tolist() for k, v in weights.items()},
    )


def table(path):
    """The rows of a CSV file, seconds aside."""
    with open(path, newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
