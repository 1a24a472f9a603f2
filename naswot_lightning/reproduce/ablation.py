"""How the score of one network varies: with the mini-batch, noise in its place, the weights, its size (Figure 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from naswot_lightning.data.catalog import load_dataset
from naswot_lightning.data.dataset import Dataset
from naswot_lightning.data.probe import Probe, draw_probe, load_probe
from naswot_lightning.reproduce.settings import AblationSettings
from naswot_lightning.search.evaluators.score import ScoreEvaluator
from naswot_lightning.seeds import derived_seed
from spaces import Space

BATCHES, NOISE, WEIGHTS, SIZES = "mini-batches", "noise", "initializations", "mini-batch sizes"
ABLATIONS = (BATCHES, NOISE, WEIGHTS, SIZES)
_BANDS = range(50, 100, 5)  # percentiles of accuracy: one network of each 5 %, as in the paper


@dataclass(frozen=True)
class Chosen:
    """A network of the figure.

    Attributes:
        percentile: the lower end of its 5 % of the accuracies.
        architecture: of the space.
        accuracy: percent.
    """

    percentile: int
    architecture: str
    accuracy: float


@dataclass(frozen=True)
class Sample:
    """A score of a network.

    Attributes:
        ablation: what varies.
        network: whose score.
        number: of the sample, from 0.
        batch_size: images.
        score: NaN where the network has none.
    """

    ablation: str
    network: Chosen
    number: int
    batch_size: int
    score: float


def chosen_networks(architectures: Sequence[str], accuracies: np.ndarray, seed: int) -> list[Chosen]:
    """Return a network of each 5 % from the median of the accuracies on, drawn by the seed.

    Args:
        architectures: n.
        accuracies: (n,) percent; NaN where it is not known.
        seed: of the draws.
    """
    known = accuracies[~np.isnan(accuracies)]
    found = []
    for low in _BANDS:
        bottom, top = np.percentile(known, [low, low + 5])
        places = np.flatnonzero((accuracies >= bottom) & (accuracies <= top))
        if len(places):
            place = int(np.random.default_rng(derived_seed(seed, "percentile", low)).choice(places))
            found.append(Chosen(low, architectures[place], float(accuracies[place])))
    return found


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


def ways(settings: AblationSettings, images: str) -> Iterator[Way]:
    """Return how all networks are scored, way by way.

    Raises:
        UserError: the data set is at fault, or has fewer images than a batch.
    """
    side = settings.image_size if images == "imagefolder" else None
    dataset = None if images == "noise" else load_dataset(images, settings.data_dir, side)
    seeds = range(settings.seed, settings.seed + settings.samples)
    for number, seed in enumerate(seeds):
        own, size = settings.seed, settings.batch_size
        yield Way(BATCHES, number, size, own, _probe(dataset, size, seed))
        yield Way(NOISE, number, size, own, _noise(dataset, size, seed))
        yield Way(WEIGHTS, number, size, seed, _probe(dataset, size, own))
        for each in settings.batch_sizes:
            yield Way(SIZES, number, each, own, _probe(dataset, each, seed))


def scored(way: Way, networks: Sequence[Chosen], space: Space, device: torch.device, canonical: bool) -> list[Sample]:
    """Return a score of each network."""
    evaluator = ScoreEvaluator(space, [way.probe()], ("naswot",), way.weights, device)
    evaluator.prepare()
    found = []
    for network in networks:
        built = space.canonical(network.architecture) if canonical else network.architecture
        score = evaluator(built).score
        found.append(Sample(way.ablation, network, way.number, way.batch_size, np.nan if score is None else score))
    return found


def normalised(samples: Sequence[Sample]) -> list[float]:
    """Return scores divided by the lowest of the same batch size, by which those of several sizes compare."""
    lowest: dict[int, float] = {}
    for sample in samples:
        lowest[sample.batch_size] = np.fmin(sample.score, lowest.get(sample.batch_size, np.inf))
    return [sample.score / lowest[sample.batch_size] for sample in samples]


def _probe(dataset: Dataset | None, batch_size: int, seed: int) -> Callable[[], Probe]:
    if dataset is None:
        return _noise(None, batch_size, seed)
    return lambda: draw_probe(dataset, batch_size, seed)


def _noise(dataset: Dataset | None, batch_size: int, seed: int) -> Callable[[], Probe]:
    side = None if dataset is None else dataset.image_size
    return lambda: load_probe("noise", "", batch_size, seed, image_size=side)
