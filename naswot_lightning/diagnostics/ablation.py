"""How the score of one network varies: with the mini-batch, noise in its place, the weights, its size (Figure 5)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from naswot_lightning.analysis.measurements import (
    BATCHES,
    NOISE,
    SIZES,
    WEIGHTS,
    AblationFile,
    AblationHeader,
    AblationLine,
    SelectedNetwork,
    read_ablation,
)
from naswot_lightning.data.probe import draw_probe, load_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError
from naswot_lightning.scorer import ScoreEvaluator
from naswot_lightning.seeds import derived_seed
from naswot_lightning.spaces import Space
from naswot_lightning.storage.files import JsonLines, lock_folder

# Percentiles of accuracy: one network of each 5 % of the better half, as in the paper.
_BANDS = range(50, 100, 5)


class AblationCondition(NamedTuple):
    """A condition under which all networks are scored once; its first three fields tell it from others in the file."""

    ablation: str
    """what varies."""
    number: int
    batch_size: int
    weights: int
    """seed of the weights."""
    images: int
    """seed of the mini-batch."""


@dataclass(frozen=True)
class AblationPlan:
    """Which scores are wanted."""

    space: Space
    header: AblationHeader
    data_dir: str
    samples: int
    """scores of each network in each ablation."""
    batch_sizes: tuple[int, ...]
    device: torch.device

    @property
    def conditions(self) -> Iterator[AblationCondition]:
        """All conditions, in the order in which they are measured."""
        # The first of the mini-batches, and of the initializations, are those of the search.
        first, size = self.header.seed, self.header.batch_size
        for number, seed in enumerate(range(first, first + self.samples)):
            yield AblationCondition(BATCHES, number, size, first, seed)
            yield AblationCondition(NOISE, number, size, first, seed)
            yield AblationCondition(WEIGHTS, number, size, seed, first)
            for each in self.batch_sizes:
                yield AblationCondition(SIZES, number, each, first, seed)


def select_by_percentile(architectures: Sequence[str], accuracies: np.ndarray, seed: int) -> list[SelectedNetwork]:
    """Return a network of each 5 % from the median of (n,) accuracies on, drawn by the seed; NaN is not known."""
    known = accuracies[~np.isnan(accuracies)]
    found = []
    for low in _BANDS:
        bottom, top = np.percentile(known, [low, low + 5])
        inside = np.flatnonzero((accuracies >= bottom) & (accuracies <= top))
        if len(inside):
            index = int(np.random.default_rng(derived_seed(seed, "percentile", low)).choice(inside))
            found.append(SelectedNetwork(low, architectures[index], float(accuracies[index])))
    return found


def select_best(architectures: Sequence[str], accuracies: np.ndarray) -> list[SelectedNetwork]:
    """Return the ten most accurate of few networks, each with the 5 % of the accuracies that it lies in.

    >>> [each.percentile for each in select_best(["a", "b", "c"], np.array([70.0, 90.0, 80.0]))]
    [0, 50, 95]
    """
    order = np.argsort(accuracies, kind="stable")[-len(_BANDS) :]
    below = len(accuracies) - len(order)
    found = []
    for rank, index in enumerate(order.tolist(), start=below):
        share = 100 * rank / max(len(accuracies) - 1, 1)
        percentile = min(5 * int(share / 5), _BANDS[-1])
        found.append(SelectedNetwork(percentile, architectures[index], float(accuracies[index])))
    return found


def measure_ablation(plan: AblationPlan, path: Path, overwrite: bool = False) -> AblationFile:
    """Return the scores of all networks under all conditions.

    Each condition is written as soon as it is measured, so that a killed command continues behind the last one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = list(plan.conditions)
    with lock_folder(path.parent):
        kept = read_ablation(path)
        if kept is not None and kept.header != plan.header:
            if not overwrite:
                before, after = ({**asdict(each), "networks": None} for each in (kept.header, plan.header))
                odd = [f"{name} was {old!r}, now {after[name]!r}" for name, old in before.items() if old != after[name]]
                changed = "; ".join(odd) or "other networks, or other accuracies of them"
                raise UserError(f"{path} was made with other settings: {changed}; use --overwrite to measure anew")
            path.unlink()
            kept = None
        with JsonLines(path) as file:
            if kept is None:
                file.append(asdict(plan.header))
            done = {(each.ablation, each.number, each.batch_size) for each in kept.samples} if kept else set()
            missing = [condition for condition in wanted if condition[:3] not in done]
            if missing:
                _measure(plan, missing, len(wanted), file)
    found = read_ablation(path)
    # The file was just written.
    assert found is not None
    keys = {condition[:3] for condition in wanted}
    own = (each for each in found.samples if (each.ablation, each.number, each.batch_size) in keys)
    return AblationFile(found.header, tuple(own))


def _measure(plan: AblationPlan, missing: Sequence[AblationCondition], wanted: int, file: JsonLines) -> None:
    own, space = plan.header, plan.space
    source = own.images, plan.data_dir, own.image_size, own.split_file
    dataset = None if own.images == "noise" else load_dataset(*source)
    for each in tqdm(missing, "scoring", wanted, initial=wanted - len(missing), unit=" conditions", mininterval=10.0):
        if dataset is None or each.ablation == NOISE:
            # Noise has the size of the data set's images.
            side = None if dataset is None else dataset.image_size
            size = own.probe_size
            probe = load_probe("noise", "", each.batch_size, each.images, probe_size=size, image_size=side)
        else:
            probe = draw_probe(dataset, each.batch_size, each.images, own.probe_size)
        # All networks share the mini-batch and the seed of the weights.
        evaluator = ScoreEvaluator(space, [probe], ("naswot",), each.weights, plan.device)
        evaluator.prepare()
        scores = []
        for network in own.networks:
            built = space.canonical(network.architecture) if own.canonical else network.architecture
            score = evaluator(built).score
            scores.append(None if score is None or math.isnan(score) else score)
        file.append(asdict(AblationLine(each.ablation, each.number, each.batch_size, tuple(scores))))
