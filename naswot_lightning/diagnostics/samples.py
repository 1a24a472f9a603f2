"""Scores of a few networks under other conditions, and the file that keeps them while they are measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from naswot_lightning.errors import UserError
from naswot_lightning.seeds import derived_seed
from naswot_lightning.storage.json_lines import JsonLines, damaged_line, whole_lines
from naswot_lightning.storage.records import STRICT, Count, Number, Positive, from_json

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


def normalised(samples: Sequence[Sample]) -> list[float]:
    """Return scores divided by the lowest of the same batch size, by which those of several sizes compare."""
    lowest: dict[int, float] = {}
    for sample in samples:
        lowest[sample.batch_size] = np.fmin(sample.score, lowest.get(sample.batch_size, np.inf))
    return [sample.score / lowest[sample.batch_size] for sample in samples]


def best_networks(architectures: Sequence[str], accuracies: np.ndarray) -> list[Chosen]:
    """Return the ten most accurate of few networks, each with the 5 % of the accuracies that it lies in.

    Args:
        architectures: n.
        accuracies: (n,) percent.

    >>> [each.percentile for each in best_networks(["a", "b", "c"], np.array([70.0, 90.0, 80.0]))]
    [0, 50, 95]
    """
    order = np.argsort(accuracies, kind="stable")[-len(_BANDS) :]
    below = len(accuracies) - len(order)
    shares = [100 * (below + place) / max(len(accuracies) - 1, 1) for place in range(len(order))]
    return [
        Chosen(min(5 * int(share / 5), _BANDS[-1]), architectures[place], float(accuracies[place]))
        for share, place in zip(shares, order.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class Conditions:
    """What the scores of a file belong to: its first line.

    Attributes:
        space: of the networks.
        images: the data set of the mini-batches.
        image_size: side of the images of an imagefolder; None for their own.
        probe_size: side to which they are resized; None for their own.
        split_file: of the data set's official lists.
        batch_size: images, where another number is not what varies.
        seed: of the networks' choice; mini-batches and weights have this one and those that follow.
        canonical: networks are scored without their dead branches.
        source: which accuracies they are chosen by.
        networks: that are scored.
    """

    space: str
    images: str
    image_size: Positive | None
    probe_size: Positive | None
    split_file: str | None
    batch_size: Positive
    seed: Count
    canonical: bool
    source: str
    networks: tuple[Chosen, ...]

    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class _Line:
    """Scores of all networks, scored one way; None where a network has none."""

    ablation: str
    number: Count
    batch_size: Positive
    scores: tuple[Number | None, ...]

    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Kept:
    """What a file holds.

    Attributes:
        conditions: that it belongs to.
        samples: in the order in which they were measured.
    """

    conditions: Conditions
    samples: tuple[Sample, ...]

    @property
    def ways(self) -> set[tuple[str, int, int]]:
        """Ablation, number and batch size of what was measured."""
        return {(each.ablation, each.number, each.batch_size) for each in self.samples}


def samples_of(folder: Path) -> Path:
    """Return where a run folder keeps the scores of Figure 5."""
    return folder / "measured" / "ablation.jsonl"


def read_samples(path: Path) -> Kept | None:
    """Return what a file holds so far; None where there is none, or nothing in it yet.

    Raises:
        UserError: a line is damaged.
    """
    try:
        lines = enumerate(list(whole_lines(path)), start=1)
    except FileNotFoundError:
        return None
    first = next(lines, None)
    if first is None:
        return None
    try:
        conditions = from_json(Conditions, first[1])
    except ValueError as error:
        raise UserError(f"{path}, line 1: {error}; remove the file, and its scores are measured again") from None
    samples: list[Sample] = []
    for number, line in lines:
        try:
            samples += _samples(from_json(_Line, line), conditions.networks)
        except ValueError as error:
            raise damaged_line(path, number, str(error)) from None
    return Kept(conditions, tuple(samples))


def _samples(line: _Line, networks: Sequence[Chosen]) -> Iterator[Sample]:
    if line.ablation not in ABLATIONS or len(line.scores) != len(networks):
        raise ValueError(f"expected one of {', '.join(ABLATIONS)} with {len(networks)} scores")
    for network, score in zip(networks, line.scores, strict=True):
        yield Sample(line.ablation, network, line.number, line.batch_size, math.nan if score is None else score)


class SampleFile(JsonLines):
    """The file while it grows, a line a way; a killed command continues it.

    Args:
        path: the file; its folder exists.
        conditions: that it must belong to.
        overwrite: begin anew where it belongs to others.

    Raises:
        UserError: it belongs to others, or is damaged.
    """

    def __init__(self, path: Path, conditions: Conditions, overwrite: bool = False) -> None:
        there = read_samples(path)
        if there is not None and there.conditions != conditions:
            if not overwrite:
                raise UserError(
                    f"{path} was made with other settings: {_difference(there.conditions, conditions)}; "
                    "use --overwrite to measure anew"
                )
            path.unlink()
            there = None
        super().__init__(path)
        if there is None:
            self.append(asdict(conditions))
        self.ways = set() if there is None else there.ways

    def __enter__(self) -> SampleFile:
        return self

    def add(self, samples: Sequence[Sample]) -> None:
        """Write the scores of all networks, scored one way."""
        first = samples[0]
        scores = [None if math.isnan(each.score) else each.score for each in samples]
        self.append(
            {"ablation": first.ablation, "number": first.number, "batch_size": first.batch_size, "scores": scores}
        )


def _difference(there: Conditions, now: Conditions) -> str:
    """Return the first setting in which two differ; of networks, that they do."""
    before, after = ({**asdict(each), "networks": None} for each in (there, now))
    found = [f"{name} was {before[name]!r}, now {after[name]!r}" for name in before if before[name] != after[name]]
    return "; ".join(found) or "other networks, or other accuracies of them"
