"""How the score of one network varies: with the mini-batch, noise in its place, the weights, its size (Figure 5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from naswot_lightning.data.catalog import load_dataset
from naswot_lightning.data.dataset import Dataset
from naswot_lightning.data.probe import Probe, draw_probe, load_probe
from naswot_lightning.diagnostics.samples import (
    BATCHES,
    NOISE,
    SIZES,
    WEIGHTS,
    Conditions,
    Kept,
    Sample,
    SampleFile,
    read_samples,
)
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.storage.files import lock_folder
from spaces import Space


@dataclass(frozen=True)
class Way:
    """One way to score all networks once.

    Attributes:
        ablation: what varies.
        number: of the sample.
        batch_size: images.
        weights: seed of the weights.
        probe: returns the mini-batch.
    """

    ablation: str
    number: int
    batch_size: int
    weights: int
    probe: Callable[[], Probe]

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from others."""
        return self.ablation, self.number, self.batch_size


@dataclass(frozen=True)
class Plan:
    """Which scores are wanted.

    Attributes:
        space: of the networks.
        conditions: of all.
        data_dir: the folder of the data set.
        samples: scores of each network, each way.
        batch_sizes: of the fourth panel.
        device: where networks run.
    """

    space: Space
    conditions: Conditions
    data_dir: str
    samples: int
    batch_sizes: tuple[int, ...]
    device: torch.device


def measure(plan: Plan, path: Path, overwrite: bool = False) -> Kept:
    """Return the scores of all networks in all ways; each way is written as it is done, and not done again.

    Args:
        plan: which scores.
        path: the file that keeps them.
        overwrite: begin anew where it belongs to others.

    Raises:
        UserError: the data set is at fault, or the file is damaged or belongs to others.
    """
    wanted = list(_ways(plan))
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_folder(path.parent), SampleFile(path, plan.conditions, overwrite) as file:
        for way in _with_progress(wanted, file.ways):
            file.add(_scored(way, plan))
    kept = read_samples(path)
    assert kept is not None  # it was just written
    keys = {way.key for way in wanted}
    own = tuple(each for each in kept.samples if (each.ablation, each.number, each.batch_size) in keys)
    return Kept(kept.conditions, own)


def _with_progress(wanted: Sequence[Way], done: Collection[tuple[str, int, int]]) -> Iterator[Way]:
    missing = [way for way in wanted if way.key not in done]
    if missing:
        kept = len(wanted) - len(missing)
        yield from tqdm(missing, "scoring", len(wanted), initial=kept, unit=" ways", mininterval=10.0)


def _ways(plan: Plan) -> Iterator[Way]:
    """Yield how all networks are scored, way by way; the data set is loaded by the first that needs it."""
    own, size = plan.conditions, plan.conditions.batch_size

    @lru_cache(maxsize=1)
    def load() -> Dataset | None:
        noise = own.images == "noise"
        return None if noise else load_dataset(own.images, plan.data_dir, own.image_size, own.split_file)

    probe, noise = partial(_probe, load, own.probe_size), partial(_noise, load, own.probe_size)
    for number, seed in enumerate(range(own.seed, own.seed + plan.samples)):
        yield Way(BATCHES, number, size, own.seed, partial(probe, size, seed))
        yield Way(NOISE, number, size, own.seed, partial(noise, size, seed))
        yield Way(WEIGHTS, number, size, seed, partial(probe, size, own.seed))
        for each in plan.batch_sizes:
            yield Way(SIZES, number, each, own.seed, partial(probe, each, seed))


def _scored(way: Way, plan: Plan) -> list[Sample]:
    """Return a score of each network."""
    own, space = plan.conditions, plan.space
    evaluator = ScoreEvaluator(space, [way.probe()], ("naswot",), way.weights, plan.device)
    evaluator.prepare()
    found = []
    for network in own.networks:
        built = space.canonical(network.architecture) if own.canonical else network.architecture
        score = evaluator(built).score
        found.append(Sample(way.ablation, network, way.number, way.batch_size, np.nan if score is None else score))
    return found


def _probe(load: Callable[[], Dataset | None], side: int | None, batch_size: int, seed: int) -> Probe:
    dataset = load()
    return _noise(load, side, batch_size, seed) if dataset is None else draw_probe(dataset, batch_size, seed, side)


def _noise(load: Callable[[], Dataset | None], side: int | None, batch_size: int, seed: int) -> Probe:
    dataset = load()
    own = None if dataset is None else dataset.image_size
    return load_probe("noise", "", batch_size, seed, probe_size=side, image_size=own)
