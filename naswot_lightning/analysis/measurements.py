"""What some figures show of networks that were scored anew: its records, and the files of a run folder that keep it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import atomic_path, damaged_line, whole_lines
from naswot_lightning.storage.foreign import reading
from naswot_lightning.storage.records import STRICT, Count, Number, Positive, from_json

BATCHES, NOISE, WEIGHTS, SIZES = "mini-batches", "noise", "initializations", "mini-batch sizes"
ABLATIONS = (BATCHES, NOISE, WEIGHTS, SIZES)

MatrixKind = Literal["kernels", "jacobians"]
# Images of a mini-batch whose similarities are kept and shown.
MOST_IMAGES = 256


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
class SimilarityMetadata:
    """What the matrices of a file belong to."""

    kind: MatrixKind
    space: str
    images: str
    """the data set of the mini-batch."""
    batch_size: Count
    probe: str
    """fingerprint of the mini-batch."""
    seed: Count
    """of mini-batch, weights and choice of the networks."""
    source: str
    """which accuracies the networks are chosen by."""
    known: Count
    """networks that have one."""
    architectures: tuple[str, ...]
    """of the n networks that are kept, the least accurate range first."""
    accuracies: tuple[Number, ...]
    """(n,) percent."""
    columns: tuple[Count, ...]
    """(n,) the range that each stands for."""
    left_out: Count
    """chosen networks without such a matrix."""

    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Similarities:
    """How similar the images of a mini-batch are to each of n networks."""

    metadata: SimilarityMetadata
    matrices: np.ndarray
    """(n, N, N) float32: K_H / N_A, or the correlations of the rows of the Jacobian; of the first
    :data:`MOST_IMAGES` images where the mini-batch has more."""

    def write(self, path: Path) -> None:
        """Write them atomically; the same matrices give the same bytes."""
        header = json.dumps(asdict(self.metadata)).encode()
        with atomic_path(path) as part, open(part, "wb") as file:
            np.savez_compressed(file, header=np.frombuffer(header, np.uint8), matrices=self.matrices.astype(np.float32))


def similarities_path(folder: Path, kind: MatrixKind) -> Path:
    """Return where a run folder keeps them."""
    return folder / "measured" / f"{kind}.npz"


def read_similarities(folder: Path, kind: MatrixKind) -> Similarities | None:
    """Return what a run folder keeps; None where it keeps none. A damaged file is a UserError."""
    path = similarities_path(folder, kind)
    try:
        with reading(path, "measurement", "remove the file: it is measured again when asked for"):
            with np.load(path, allow_pickle=False) as archive:
                metadata = from_json(SimilarityMetadata, archive["header"].tobytes())
                matrices = archive["matrices"]
            count, side = len(metadata.architectures), min(metadata.batch_size, MOST_IMAGES)
            if metadata.kind != kind or not len(metadata.accuracies) == len(metadata.columns) == count > 0:
                raise ValueError("other networks than it names")
            if matrices.dtype != np.float32 or matrices.shape != (count, side, side) or not np.isfinite(matrices).all():
                raise ValueError("other matrices than it names")
    except FileNotFoundError:
        return None
    return Similarities(metadata, matrices)
