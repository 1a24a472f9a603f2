"""How similar the images of a mini-batch are to some networks of a run, and the file that keeps it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from naswot_lightning.storage.arrays import read_array, write_array
from naswot_lightning.storage.faults import reading
from naswot_lightning.storage.files import atomic_path
from naswot_lightning.storage.records import STRICT, Count, Number, from_json

Kind = Literal["kernels", "jacobians"]
MOST_IMAGES = 256  # of a mini-batch, that are kept and shown
_HEADER, _MATRICES = "header", "matrices"


@dataclass(frozen=True)
class Belongs:
    """What the matrices of a file belong to.

    Attributes:
        kind: "kernels" or "jacobians".
        space: of the networks.
        images: the data set of the mini-batch.
        batch_size: its images.
        probe: its fingerprint.
        seed: of mini-batch, weights and choice of the networks.
        source: which accuracies they are chosen by.
        known: how many networks have one.
        architectures: of the networks that are kept, the least accurate range first.
        accuracies: of each, percent.
        columns: of each, the range that it stands for.
        left_out: chosen networks without such a matrix.
    """

    kind: Kind
    space: str
    images: str
    batch_size: Count
    probe: str
    seed: Count
    source: str
    known: Count
    architectures: tuple[str, ...]
    accuracies: tuple[Number, ...]
    columns: tuple[Count, ...]
    left_out: Count

    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class Similarities:
    """A matrix a network.

    Attributes:
        belongs: to what.
        matrices: (n, N, N) float32: K_H / N_A, or the correlations of the rows of the Jacobian; of the first
            :data:`MOST_IMAGES` images where the mini-batch has more.
    """

    belongs: Belongs
    matrices: np.ndarray

    def write(self, path: Path) -> None:
        """Write them beside ``path``, and rename the file; the same matrices give the same bytes."""
        header = json.dumps(asdict(self.belongs)).encode()
        with atomic_path(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            write_array(archive, _HEADER, np.frombuffer(header, np.uint8))
            write_array(archive, _MATRICES, self.matrices.astype(np.float32))


def kept_in(folder: Path, kind: Kind) -> Path:
    """Return where a run folder keeps them."""
    return folder / "measured" / f"{kind}.npz"


def read_similarities(folder: Path, kind: Kind) -> Similarities | None:
    """Return what a run folder keeps; None where it keeps none.

    Raises:
        UserError: the file is damaged.
    """
    path = kept_in(folder, kind)
    try:
        with reading(path, "measurement", "remove the file: it is measured again when asked for"):
            with zipfile.ZipFile(path) as archive:
                found = Similarities(
                    from_json(Belongs, read_array(archive, _HEADER).tobytes()), read_array(archive, _MATRICES)
                )
            _expect_shapes(found, kind)
    except FileNotFoundError:
        return None
    return found


def _expect_shapes(found: Similarities, kind: Kind) -> None:
    belongs, matrices = found.belongs, found.matrices
    count, side = len(belongs.architectures), min(belongs.batch_size, MOST_IMAGES)
    if belongs.kind != kind or not len(belongs.accuracies) == len(belongs.columns) == count > 0:
        raise ValueError("other networks than it names")
    if matrices.dtype != np.float32 or matrices.shape != (count, side, side) or not np.isfinite(matrices).all():
        raise ValueError("other matrices than it names")
