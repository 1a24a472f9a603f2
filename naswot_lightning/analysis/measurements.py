"""What some figures show of networks that were scored anew, and the file that keeps the scores of Figure 5."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import damaged_line, whole_lines
from naswot_lightning.storage.records import STRICT, Count, Number, Positive, from_json

BATCHES, NOISE, WEIGHTS, SIZES = "mini-batches", "noise", "initializations", "mini-batch sizes"
ABLATIONS = (BATCHES, NOISE, WEIGHTS, SIZES)


@dataclass(frozen=True)
class SelectedNetwork:
    """A network of Figure 5."""

    percentile: int
    """the lower end of its 5 % of the accuracies."""
    architecture: str
    accuracy: float
    """percent."""


@dataclass(frozen=True)
class AblationHeader:
    """What the scores of a file belong to: its first line."""

    space: str
    images: str
    """the data set of the mini-batches."""
    image_size: Positive | None
    """side of the images of an imagefolder; None for their own."""
    probe_size: Positive | None
    """side to which they are resized; None for their own."""
    split_file: str | None
    batch_size: Positive
    """images, where another number is not what varies."""
    seed: Count
    """of the networks' choice; mini-batches and weights have this one and those that follow."""
    canonical: bool
    """networks are scored without their dead branches."""
    source: str
    """which accuracies the networks are chosen by."""
    networks: tuple[SelectedNetwork, ...]

    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class AblationLine:
    """Scores of all networks under one condition: a further line; None where a network has none."""

    ablation: str
    number: Count
    batch_size: Positive
    scores: tuple[Number | None, ...]

    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class AblationFile:
    """The content of an ablation file, in the order in which it was measured."""

    header: AblationHeader
    samples: pd.DataFrame
    """a row per score: ablation, number, batch_size, the network's place in the header, score (NaN where there is
    none), and ``relative``: the score divided by the lowest of that batch size."""


def ablation_path(folder: Path) -> Path:
    """Return where a run folder keeps the scores of Figure 5."""
    return folder / "measured" / "ablation.jsonl"


def read_ablation(path: Path) -> AblationFile | None:
    """Return what a file holds so far, None where that is nothing; a damaged line is a UserError."""
    try:
        # A line that a killed command has cut off is not whole, and left out.
        lines = list(whole_lines(path))
    except FileNotFoundError:
        return None
    if not lines:
        return None
    try:
        header = from_json(AblationHeader, lines[0])
    except ValueError as error:
        raise UserError(f"{path}, line 1: {error}; remove the file, and its scores are measured again") from None
    rows: list[tuple[str, int, int, int, float | None]] = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            own = from_json(AblationLine, line)
            if own.ablation not in ABLATIONS or len(own.scores) != len(header.networks):
                raise ValueError(f"expected one of {', '.join(ABLATIONS)} with {len(header.networks)} scores")
        except ValueError as error:
            raise damaged_line(path, number, str(error)) from None
        rows += [(own.ablation, own.number, own.batch_size, place, score) for place, score in enumerate(own.scores)]
    samples = pd.DataFrame(rows, columns=["ablation", "number", "batch_size", "network", "score"])
    samples["score"] = samples["score"].astype(float)
    samples["relative"] = samples["score"] / samples.groupby(["ablation", "batch_size"])["score"].transform("min")
    return AblationFile(header, samples)


@dataclass(frozen=True)
class Similarities:
    """How similar the images of a mini-batch are to each of n networks."""

    matrices: np.ndarray
    """(n, N, N): K_H / N_A, or the correlations of the rows of the Jacobian, of at most 256 images."""
    accuracies: tuple[float, ...]
    """(n,) percent."""
    ranges: tuple[int, ...]
    """(n,) the range of accuracy that each stands for, ascending."""
    title: str
    """space, mini-batch, and how many networks were chosen by which accuracies."""
