"""How independent the channels of the ReLUs are: the spectra of their correlation matrices.

Each score is the sum of a field of :class:`Spectrum` over the ReLUs; -inf where no channel changes, nan where a ReLU
met NaN. A network without ReLUs raises NoRectifierError.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from naswot_lightning.naswot.naswot import ReLUObserver
from naswot_lightning.networks import on_the_cpu
from naswot_lightning.scores.base import FORWARD, Measured, score
from naswot_lightning.scores.gradients import one_thread

ROY = "after Roy & Vetterli 2007"
# Of the mini-batch: of 128, the pass would take twice as long.
MOST_IMAGES = 32
# Of more than WIDE channels, so many pixels at most, which bounds a spectrum's time and memory. Over all pixels the
# scores order 40 networks of NAS-Bench-Macro as these do by taus of 0.987 to 1.
WIDE, MOST_PIXELS = 128, 2048
# Channels whose smallest eigenvalue is looked for together.
BLOCK = 16
# On every eigenvalue of a volume: a few dependent channels of many leave some.
RIDGE = 1e-4


class Spectrum(NamedTuple):
    """What the correlation R, (C, C), of the channels of one ReLU says; v are its eigenvalues.

    All but ``smallest`` are 0 where no channel changes.
    """

    entropy: float
    """-sum p log p in nats, p = v / sum v: at most log C, reached where no two channels are correlated."""
    rank: float
    """exp of the entropy, the effective rank of Roy & Vetterli: 1 where all channels are the same up to scale, C where
    no two are correlated."""
    input_rank: float
    """the same of the ReLU's inputs."""
    volume: float
    """C |R|^(1/C), with 1e-4 added to each eigenvalue."""
    smallest: float
    """the smallest eigenvalue of each block of 16 channels in their order, summed over the blocks; of fewer channels,
    one block. What is left over of the last block is left out."""


class ChannelSpectra(ReLUObserver):
    """While active, keeps the spectrum of the channels' correlation for every ReLU that is called.

    The channels of a ReLU are the positive parts of its input (N, C, ...), a row of all pixels of the first 32 images
    each; of more than 128 channels, of 2,048 pixels at an even distance. A channel that never changes is correlated
    with none, itself included.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        # Of each ReLU its channels, its inputs and the blocks of its channels, on their device.
        self._matrices: list[Tensor] = []
        self._channels: list[int] = []

    def __enter__(self) -> ChannelSpectra:
        self._matrices, self._channels = [], []
        self.__dict__.pop("spectra", None)
        return self

    def see(self, pre_activations: Tensor) -> None:
        """Add the correlations of one ReLU."""
        # Other modes take what is computed here for ReLUs of the network.
        with one_thread(), torch._C.DisableTorchFunction():
            # (pixels of all images, C)
            rows = pre_activations[:MOST_IMAGES].movedim(1, -1).flatten(0, -2).float()
            if rows.shape[1] > WIDE:
                rows = rows[:: -(-len(rows) // MOST_PIXELS)]
            units = _unit_columns(rows.clamp(min=0))
            self._matrices += [_gram(units), _gram(_unit_columns(rows)), _blocks(units)]
            self._channels.append(rows.shape[1])

    @cached_property
    def spectra(self) -> list[Spectrum]:
        """Of each ReLU, in the order of the calls."""
        with one_thread():
            # Of wide layers in float32, in half the time.
            matrices = [
                (matrix if len(matrix) > WIDE else matrix.double()).nan_to_num(0.0)
                for matrix in on_the_cpu(self._matrices)
            ]
            each = zip(self._channels, matrices[::3], matrices[1::3], matrices[2::3], strict=True)
            return [_spectrum(*of_relu) for of_relu in each]


def _unit_columns(rows: Tensor) -> Tensor:
    """Return (pixels, C) with columns of mean 0 and length 1; a column that never changes is 0."""
    centred = rows - rows.mean(dim=0)
    lengths = torch.linalg.vector_norm(centred, dim=0)
    return centred / torch.where(lengths > 0, lengths, 1.0)


def _gram(units: Tensor) -> Tensor:
    """Return the correlations (C, C) of the columns of (pixels, C), or of its rows where those are fewer.

    Both have the same eigenvalues, but for zeros.
    """
    return units.T @ units if units.shape[1] <= len(units) else units @ units.T


def _blocks(units: Tensor) -> Tensor:
    """Return (blocks, 16, 16): the correlations of 16 columns of (pixels, C) at a time."""
    side = min(BLOCK, units.shape[1])
    # (blocks, pixels, 16)
    blocks = units[:, : units.shape[1] // side * side].unflatten(1, (-1, side)).movedim(1, 0)
    return blocks.mT @ blocks


def _spectrum(channels: int, matrix: Tensor, of_inputs: Tensor, blocks: Tensor) -> Spectrum:
    """Return what the matrices of one ReLU say, on the CPU."""
    values = torch.linalg.eigvalsh(matrix).double().clamp(min=0)
    # (C,): those that fewer pixels leave out are 0.
    values = nn.functional.pad(values, (channels - len(values), 0))
    # C |R|^(1/C), by logarithms.
    changes = float(values.sum()) > 0
    volume = channels * float((values + RIDGE).log().mean().exp()) if changes else 0.0
    smallest = float(torch.linalg.eigvalsh(blocks)[:, 0].clamp(min=0).sum())
    entropy, rank = _entropy_and_rank(values)
    input_rank = _entropy_and_rank(torch.linalg.eigvalsh(of_inputs).double().clamp(min=0))[1]
    return Spectrum(entropy, rank, input_rank, volume, smallest)


def _entropy_and_rank(values: Tensor) -> tuple[float, float]:
    total = float(values.sum())
    if total <= 0:
        return 0.0, 0.0
    entropy = float(torch.special.entr(values / total).sum())
    return entropy, math.exp(entropy)


def _register(name: str, field: str, source: str) -> None:
    def sum_over_relus(measured: Measured) -> float:
        observed = measured.observed(ChannelSpectra)
        if measured.kernel.has_nan:
            return math.nan
        return math.fsum(getattr(spectrum, field) for spectrum in observed.spectra) or -math.inf

    sum_over_relus.__qualname__ = name
    score(name, source=source, cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))(sum_over_relus)


# ``az_expressivity`` asks the same of every cell's output; this asks the units whose codes ``naswot`` compares.
_register("relu_entropy", "entropy", "ours")
# A wide layer weighs more in this sum than in that of the entropies.
_register("relu_rank", "rank", ROY)
# Channels of opposite sign are hardly correlated once rectified; before, they are one direction, and count once.
_register("relu_input_rank", "input_rank", ROY)
# |R| is the squared volume that the channels, as vectors of length 1, span: 1 where no two are correlated. Its root of
# order C does not fall with C as such; with 1e-4 on each eigenvalue a single dependent channel does not make it 0.
_register("relu_volume", "volume", "ours")
# ``meco`` is 0 for layers with more channels than pixels, and falls with width (Kendall's tau with accuracy of -0.64
# on the size space). Blocks of the same number of channels, and the pixels of 32 images, mend both.
_register("relu_meco", "smallest", "after Jiang et al. 2023")
