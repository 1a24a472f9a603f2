"""How independent the channels of feature maps are: the spectra of their correlation matrices.

The scores ``relu_*`` raise NoRectifierError for a network without ReLUs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from naswot_lightning.score.recorder import RectifierObserver
from naswot_lightning.scores.base import FORWARD, Measured, score
from naswot_lightning.scores.feature_maps import OutputObserver
from naswot_lightning.scores.gradients import one_thread

ROY = "after Roy & Vetterli 2007"
MOST_IMAGES = 32  # of the mini-batch: of 128, the pass would take twice as long
BLOCK = 16  # channels whose smallest eigenvalue is looked for together
RIDGE = 1e-4  # on every eigenvalue of a volume: a few dependent channels of many leave some


class Spectrum(NamedTuple):
    """What the correlation of the C channels of one ReLU says; all but its smallest are 0 where no channel changes."""

    entropy: float
    """-sum p log p in nats, p the eigenvalues of the (C, C) matrix over their sum."""
    rank: float
    """exp of that, the effective rank: 1 to C."""
    input_rank: float
    """the same of the ReLU's inputs, which are not rectified yet."""
    volume: float
    """C times the geometric mean of the eigenvalues, to each of which 1e-4 is added."""
    smallest: float
    """the smallest eigenvalue of each block of 16 channels in their order, summed over the blocks; of fewer channels,
    one block. What is left over of the last block is left out."""


class ChannelSpectra(RectifierObserver):
    """While active, keeps the spectrum of the channels' correlation for every ReLU that is called.

    The channels of a ReLU are the positive parts of its input (N, C, ...), a row of all pixels of the first 32 images
    each. A channel that never changes is correlated with none, itself included.

    Args:
        network: not looked at.
        images: N of the mini-batch; the first 32 of them count.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        self.spectra: list[Spectrum] = []

    def __enter__(self) -> ChannelSpectra:
        self.spectra = []
        return self

    def see(self, pre_activations: Tensor) -> None:
        """Add the spectrum of one ReLU."""
        first = pre_activations[:MOST_IMAGES]
        # Other modes take what is computed here for ReLUs of the network.
        with one_thread(), torch._C.DisableTorchFunction(), torch.autocast(first.device.type, enabled=False):
            rows = first.movedim(1, -1).flatten(0, -2).float()  # (pixels, C)
            matrix, of_inputs = _correlation(rows.clamp(min=0)), _correlation(rows)
            values = torch.linalg.eigvalsh(matrix).clamp(min=0)
            changes = float(values.sum()) > 0
            volume = len(values) * float((values + RIDGE).log().mean().exp()) if changes else 0.0
            side = min(BLOCK, len(matrix))
            starts = range(0, len(matrix) - side + 1, side)
            blocks = torch.stack([matrix[at : at + side, at : at + side] for at in starts])
            smallest = float(torch.linalg.eigvalsh(blocks)[:, 0].clamp(min=0).sum())
            entropy, rank = _entropy_and_rank(values)
            input_rank = _entropy_and_rank(torch.linalg.eigvalsh(of_inputs).clamp(min=0))[1]
            self.spectra.append(Spectrum(entropy, rank, input_rank, volume, smallest))


def _correlation(rows: Tensor) -> Tensor:
    """Return the correlation matrix (C, C) of the columns of (pixels, C), in float64 on the CPU."""
    centred = rows - rows.mean(dim=0)
    lengths = torch.linalg.vector_norm(centred, dim=0)
    unit = centred / torch.where(lengths > 0, lengths, 1.0)
    return (unit.T @ unit).cpu().double().nan_to_num(0.0)


def _entropy_and_rank(values: Tensor) -> tuple[float, float]:
    total = float(values.sum())
    if total <= 0:
        return 0.0, 0.0
    entropy = float(torch.special.entr(values / total).sum())
    return entropy, math.exp(entropy)


def _sum_over_relus(measured: Measured, figure: str) -> float:
    """Return the sum of a field of the spectra; -inf where it is 0, nan where a ReLU met NaN."""
    observed = measured.observed(ChannelSpectra)
    if measured.kernel.has_nan:
        return math.nan
    return math.fsum(getattr(spectrum, figure) for spectrum in observed.spectra) or -math.inf


@score("relu_entropy", source="ours", cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_entropy(measured: Measured) -> float:
    """Return the sum over the ReLUs of the entropy of their channels' correlation.

    ``az_expressivity`` asks the same of every cell's output; this asks the units whose codes ``naswot`` compares. It
    is at most the sum of log C over the ReLUs, reached where no two of the C channels are correlated.

    Returns:
        The sum in nats; -inf where no channel changes, nan where a ReLU met NaN.
    """
    return _sum_over_relus(measured, "entropy")


@score("relu_rank", source=ROY, cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_rank(measured: Measured) -> float:
    """Return the sum over the ReLUs of the effective rank of their channels' correlation.

    The effective rank of Roy & Vetterli is exp of the entropy that ``relu_entropy`` adds up: 1 where all channels are
    the same up to scale, C where no two of the C channels are correlated. A wide layer weighs more in this sum than in
    that of the entropies.

    Returns:
        The sum, in channels; -inf where no channel changes, nan where a ReLU met NaN.
    """
    return _sum_over_relus(measured, "rank")


@score("relu_input_rank", source=ROY, cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_input_rank(measured: Measured) -> float:
    """Return the sum over the ReLUs of the effective rank of the correlation of their inputs' channels.

    As ``relu_rank``, of pre-activations. Rectified, channels of opposite sign are two that are hardly correlated;
    before, they are one direction: what layers repeat with another sign counts once.

    Returns:
        The sum, in channels; -inf where no channel changes, nan where a ReLU met NaN.
    """
    return _sum_over_relus(measured, "input_rank")


@score("relu_volume", source="ours", cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_volume(measured: Measured) -> float:
    """Return the sum over the ReLUs of C |R|^(1/C), R the correlation of their C channels.

    |R| is the squared volume that the channels, as vectors of length 1, span: 1 where no two are correlated, 0 where
    one depends on others. Its root of order C does not fall with C as such, so that a layer counts its channels, each
    by how independent it is. To each eigenvalue 1e-4 is added: a single dependent channel does not make it 0.

    Returns:
        The sum, in channels; -inf where no channel changes, nan where a ReLU met NaN.
    """
    return _sum_over_relus(measured, "volume")


@score("relu_meco", source="after Jiang et al. 2023", cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_meco(measured: Measured) -> float:
    """Return the sum over the ReLUs, and their blocks of 16 channels, of the smallest eigenvalue of a correlation.

    ``meco`` takes all channels of a layer together, and one image: it is 0 for layers with more channels than pixels,
    and falls with the width of a network (Kendall's tau with accuracy of -0.64 on the size space). Blocks of the same
    number of channels, and the pixels of 32 images, mend both.

    Returns:
        The sum; -inf where the channels of every block are linearly dependent, nan where a ReLU met NaN.
    """
    return _sum_over_relus(measured, "smallest")


class SmallestEigenvalues(OutputObserver):
    """Keeps that of the channels' correlation for the first image's output of every module without submodules."""

    def __init__(self, network: nn.Module, images: int) -> None:
        super().__init__([m for m in network.modules() if not list(m.children()) and not isinstance(m, nn.Identity)])

    def value_of(self, output: Tensor) -> float:
        """Return it, 0 where the matrix is singular; nan where the output is not finite."""
        channels = output[0].flatten(1).cpu().double()  # (C, H * W)
        if not bool(channels.isfinite().all()):
            return math.nan
        count, pixels = channels.shape
        with one_thread():
            centred = channels - channels.mean(dim=1, keepdim=True)
            lengths = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
            # A constant channel is correlated with none, itself included, and makes the matrix singular.
            if count >= pixels or bool((lengths == 0).any()):
                return 0.0
            rows = centred / lengths
            smallest = float(torch.linalg.eigvalsh(rows @ rows.T)[0])
        return smallest if smallest > count * torch.finfo(torch.float64).eps * count else 0.0


@score("meco", source="Jiang et al. 2023", cost=FORWARD, exact_sums=False, observers=(SmallestEigenvalues,))
def meco(measured: Measured) -> float:
    """Return the sum over the layers of the smallest eigenvalue of their channels' correlation matrix.

    A layer is a module without submodules, each call of one counts; its output for the first image of the probe is C
    channels of H * W pixels. With as many channels as pixels or more the eigenvalue is 0, so that the deep layers of a
    network count nothing. The authors' code counts modules that hold others, too, and runs one image of noise; here the
    forward pass is that of the kernel.

    Returns:
        The sum; -inf where the channels of every layer are linearly dependent, nan where an output is not finite.
    """
    total = sum(measured.observed(SmallestEigenvalues).values)
    return total if total > 0 or math.isnan(total) else -math.inf
