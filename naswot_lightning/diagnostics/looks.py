"""What is looked at of a few networks of a run: their kernels, or the correlations of their Jacobians' rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from naswot_lightning.analysis.known import Known, in_ranges
from naswot_lightning.diagnostics.rebuilt import Rebuilt
from naswot_lightning.diagnostics.similarities import MOST_IMAGES, Belongs, Kind, Similarities
from naswot_lightning.errors import UserError
from naswot_lightning.score import NoRectifierError
from naswot_lightning.scores.base import Measured
from naswot_lightning.scores.jacobian import correlations_of_rows, jacobian_of


def _kernel(measured: Measured) -> torch.Tensor | None:
    """Return K_H / N_A, whose diagonal is 1."""
    try:
        kernel = measured.kernel
    except NoRectifierError:
        return None
    return None if kernel.has_nan else kernel.matrix / kernel.n_units


def _correlations(measured: Measured) -> torch.Tensor | None:
    jacobian = jacobian_of(measured)
    return correlations_of_rows(jacobian) if bool(jacobian.isfinite().all()) else None


_LOOKS: Mapping[Kind, Callable[[Measured], torch.Tensor | None]] = {"kernels": _kernel, "jacobians": _correlations}


def look(kind: Kind, known: Known, networks: Rebuilt) -> Similarities:
    """Return the matrices of a few networks of each range of accuracy.

    Args:
        kind: of the matrices.
        known: networks whose accuracies are known.
        networks: builds them.

    Raises:
        UserError: the data set is at fault, or none of the networks has such a matrix.
    """
    chosen = _chosen(known, networks.setting("seed"))
    found = [(*each, _LOOKS[kind](networks.measured(known.architectures[each[1]]))) for each in chosen]
    kept = [(column, place, matrix) for column, place, matrix in found if matrix is not None]
    if not kept:
        raise UserError(f"none of {len(chosen)} networks of {known.space} has {kind} to show")
    matrices = [matrix[:MOST_IMAGES, :MOST_IMAGES].cpu().numpy() for _, _, matrix in kept]
    return Similarities(_belongs(kind, known, networks, kept, len(found)), np.stack(matrices).astype(np.float32))


def is_of(kept: Similarities, known: Known, networks: Rebuilt) -> bool:
    """Return whether matrices that were kept are those of these networks and this mini-batch."""
    own, seed = kept.belongs, networks.setting("seed")
    chosen = [
        (column, known.architectures[place], float(known.accuracies[place])) for column, place in _chosen(known, seed)
    ]
    there = list(zip(own.columns, own.architectures, own.accuracies, strict=True))
    same = (known.space, networks.images, networks.setting("batch_size"), seed, known.source, len(known.accuracies))
    return (
        same == (own.space, own.images, own.batch_size, own.seed, own.source, own.known)
        and set(there) <= set(chosen)
        and len(there) + own.left_out == len(chosen)
    )


def _chosen(known: Known, seed: int) -> list[tuple[int, int]]:
    """Return the range and the place of each network that is looked at."""
    ranges = in_ranges(known.accuracies, seed)
    return [(column, place) for column, places in enumerate(ranges) for place in places]


def _belongs(
    kind: Kind, known: Known, networks: Rebuilt, kept: Sequence[tuple[int, int, object]], chosen: int
) -> Belongs:
    return Belongs(
        kind=kind,
        space=known.space,
        images=networks.images,
        batch_size=len(networks.probe.images),
        probe=networks.probe.fingerprint,
        seed=networks.setting("seed"),
        source=known.source,
        known=len(known.accuracies),
        architectures=tuple(known.architectures[place] for _, place, _ in kept),
        accuracies=tuple(float(known.accuracies[place]) for _, place, _ in kept),
        columns=tuple(column for column, _, _ in kept),
        left_out=chosen - len(kept),
    )
