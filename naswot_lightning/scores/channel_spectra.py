"""How independent the channels of rectified feature maps are: the spectra of their correlation matrices."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from naswot_lightning.score.recorder import RectifierObserver
from naswot_lightning.scores.base import Measured
from naswot_lightning.scores.gradients import one_thread

MOST_IMAGES = 32  # of the mini-batch: of 128, the pass would take twice as long
BLOCK = 16  # channels whose smallest eigenvalue is looked for together
RIDGE = 1e-4  # on every eigenvalue of a volume: a few dependent channels of many leave some


class ChannelSpectra(RectifierObserver):
    """While active, notes five figures of the channels' correlation for every rectifier that is called.

    The channels of a rectifier are the positive parts of its input (N, C, ...), a row of all pixels of the first 32
    images each. A channel that never changes is correlated with none, itself included.

    Args:
        network: not looked at.
        images: N of the mini-batch; the first 32 of them count.

    Attributes:
        entropies: -sum p log p in nats, p the eigenvalues of the (C, C) matrix over their sum; 0 where no channel
            changes.
        ranks: exp of that, the effective rank: 1 to C; 0 where no channel changes.
        input_ranks: the same of the rectifier's inputs, which are not rectified yet.
        volumes: C times the geometric mean of the eigenvalues, to each of which 1e-4 is added; 0 where no channel
            changes.
        smallest: the smallest eigenvalue of each block of 16 channels in their order, summed over the blocks; of fewer
            channels, one block. What is left over of the last block is left out.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        self.entropies: list[float] = []
        self.ranks: list[float] = []
        self.input_ranks: list[float] = []
        self.volumes: list[float] = []
        self.smallest: list[float] = []

    def __enter__(self) -> ChannelSpectra:
        for figures in (self.entropies, self.ranks, self.input_ranks, self.volumes, self.smallest):
            figures.clear()
        return self

    def see(self, pre_activations: Tensor) -> None:
        """Add the figures of one rectifier."""
        first = pre_activations[:MOST_IMAGES]
        # Other modes take what is computed here for rectifiers of the network.
        with one_thread(), torch._C.DisableTorchFunction(), torch.autocast(first.device.type, enabled=False):
            rows = first.movedim(1, -1).flatten(0, -2).float()
            matrix = _correlation(rows.clamp(min=0))
            values = _eigenvalues(matrix)
            self.entropies.append(_entropy(values))
            self.ranks.append(_rank(values))
            self.input_ranks.append(_rank(_eigenvalues(_correlation(rows))))
            self.volumes.append(_volume(values))
            self.smallest.append(_smallest(matrix))


def over_rectifiers(measured: Measured, figures: Callable[[ChannelSpectra], list[float]]) -> float:
    """Return the sum of a figure over the rectifiers of a network.

    Returns:
        The sum; -inf where it is 0, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    spectra = measured.watched(ChannelSpectra)
    if measured.kernel.has_nan:
        return math.nan
    return math.fsum(figures(spectra)) or -math.inf


def _correlation(rows: Tensor) -> Tensor:
    """Return the correlation matrix (C, C) of the columns of (pixels, C), in float64 on the CPU."""
    centred = rows - rows.mean(dim=0)
    lengths = torch.linalg.vector_norm(centred, dim=0)
    unit = centred / torch.where(lengths > 0, lengths, 1.0)
    return (unit.T @ unit).cpu().double().nan_to_num(0.0)


def _eigenvalues(matrix: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(matrix).clamp(min=0)


def _entropy(values: Tensor) -> float:
    total = float(values.sum())
    return float(torch.special.entr(values / total).sum()) if total > 0 else 0.0


def _rank(values: Tensor) -> float:
    return math.exp(_entropy(values)) if float(values.sum()) > 0 else 0.0


def _volume(values: Tensor) -> float:
    return len(values) * float((values + RIDGE).log().mean().exp()) if float(values.sum()) > 0 else 0.0


def _smallest(matrix: Tensor) -> float:
    """Return the sum of the smallest eigenvalues of the blocks on the diagonal."""
    side = min(BLOCK, len(matrix))
    blocks = torch.stack([matrix[at : at + side, at : at + side] for at in range(0, len(matrix) - side + 1, side)])
    return float(torch.linalg.eigvalsh(blocks)[:, 0].clamp(min=0).sum())
