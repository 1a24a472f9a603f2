"""Run folders of invented scores, and the accuracies of their architectures."""

import csv
import json
from functools import partial

import numpy as np
import yaml

from naswot_lightning.cli import run_named
from tests.reproduce.tables import architectures

main = partial(run_named, "study")

SETTINGS = {
    "space": "nasbench201", "algorithm": "random", "samples": 40, "architectures": None, "max_params": None,
    "max_macs": None, "seed": 0, "dataset": "digits", "image_size": None, "batch_size": 16, "probe_size": None,
    "precision": "32", "repeats": 1, "canonical": True, "evaluator": "scores", "score": "naswot,jacob_cov+params",
    "shard": None,
}  # fmt: skip


def row(architecture, scores, params, **changes):
    """A line of ``scores.jsonl``."""
    first = next(iter(scores.values()))
    return {
        "space": "nasbench201", "architecture": architecture, "canonical": architecture, "score": first,
        "scores": scores, "n_units": 10 * params, "params": params, "macs": 7 * params, "seed": 0, "probe": "",
        "seconds": 0.1, "status": "ok" if first is not None else "degenerate", "reason": None, **changes,
    }  # fmt: skip


def invented(count=40, seed=0, noise=0.0):
    """Rows whose naswot and jacob_cov follow a quality that params do not, and the accuracy in percent of each."""
    rng, names = np.random.default_rng(1), architectures(count)
    quality, params = rng.normal(size=count), rng.integers(1, count, count).tolist()
    values = {name: quality + each * rng.normal(size=count) for name, each in (("naswot", 0.4), ("jacob_cov", 2.0))}
    shift = noise * np.random.default_rng(seed).normal(size=(2, count))
    naswot, jacob_cov = (values["naswot"] + shift[0]).tolist(), (values["jacob_cov"] + shift[1]).tolist()
    scores = [
        {"naswot": a, "jacob_cov": b, "params": float(c)} for a, b, c in zip(naswot, jacob_cov, params, strict=True)
    ]
    rows = [row(*each) for each in zip(names, scores, params, strict=True)]
    return rows, (80 + 4 * quality + rng.normal(size=count)).clip(10, 99).tolist()


def write_run(folder, rows, **settings):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({**SETTINGS, **settings}))
    (folder / "scores.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    return folder


def write_accuracies(path, rows, accuracies, datasets=("cifar10",)):
    with open(path, "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("architecture", "dataset", "accuracy"))
        for each, accuracy in zip(rows, accuracies, strict=True):
            lines.writerows((each["architecture"], dataset, accuracy - 9 * n) for n, dataset in enumerate(datasets))
    return path


def write_own_table(path, count):
    """Architectures and their accuracies, and no more."""
    lines = [f"{architecture},{70 + number}" for number, architecture in enumerate(architectures(count))]
    path.write_text("\n".join(["architecture,accuracy", *lines]) + "\n")


def run(*words):
    return main([str(word) for word in words])
