"""How independent the channels of feature maps are: the spectra of their correlation matrices."""

from __future__ import annotations

import math
from collections.abc import Callable

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
    spectra = measured.observed(ChannelSpectra)
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


@score("relu_entropy", source="ours", cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_entropy(measured: Measured) -> float:
    """Return the sum over the rectifiers of the entropy of their channels' correlation.

    ``az_expressivity`` asks the same of every cell's output; this asks the units whose codes ``naswot`` compares. It
    is at most the sum of log C over the rectifiers, reached where no two of the C channels are correlated.

    Returns:
        The sum in nats; -inf where no channel changes, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.entropies)


@score("relu_rank", source=ROY, cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_rank(measured: Measured) -> float:
    """Return the sum over the rectifiers of the effective rank of their channels' correlation.

    The effective rank of Roy & Vetterli is exp of the entropy that ``relu_entropy`` adds up: 1 where all channels are
    the same up to scale, C where no two of the C channels are correlated. A wide layer weighs more in this sum than in
    that of the entropies.

    Returns:
        The sum, in channels; -inf where no channel changes, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.ranks)


@score("relu_input_rank", source=ROY, cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_input_rank(measured: Measured) -> float:
    """Return the sum over the rectifiers of the effective rank of the correlation of their inputs' channels.

    As ``relu_rank``, of pre-activations. Rectified, channels of opposite sign are two that are hardly correlated;
    before, they are one direction: what layers repeat with another sign counts once.

    Returns:
        The sum, in channels; -inf where no channel changes, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.input_ranks)


@score("relu_volume", source="ours", cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_volume(measured: Measured) -> float:
    """Return the sum over the rectifiers of C |R|^(1/C), R the correlation of their C channels.

    |R| is the squared volume that the channels, as vectors of length 1, span: 1 where no two are correlated, 0 where
    one depends on others. Its root of order C does not fall with C as such, so that a layer counts its channels, each
    by how independent it is. To each eigenvalue 1e-4 is added: a single dependent channel does not make it 0.

    Returns:
        The sum, in channels; -inf where no channel changes, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.volumes)


@score("relu_meco", source="after Jiang et al. 2023", cost=FORWARD, exact_sums=False, observers=(ChannelSpectra,))
def relu_meco(measured: Measured) -> float:
    """Return the sum over the rectifiers, and their blocks of 16 channels, of the smallest eigenvalue of a correlation.

    ``meco`` takes all channels of a layer together, and one image: it is 0 for layers with more channels than pixels,
    and falls with the width of a network (Kendall's tau with accuracy of -0.64 on the size space). Blocks of the same
    number of channels, and the pixels of 32 images, mend both.

    Returns:
        The sum; -inf where the channels of every block are linearly dependent, nan where a rectifier met NaN.

    Raises:
        NoRectifierError: the network has no rectified linear unit.
    """
    return over_rectifiers(measured, lambda spectra: spectra.smallest)


class SmallestEigenvalues(OutputObserver):
    """While entered, notes that of the correlation of the channels for every layer's output, of the first image.

    Args:
        network: whose modules without submodules are the layers; the identity is none.
        images: N of the mini-batch; not needed.

    Attributes:
        values: in the order of the forward pass; nan where the output is not finite.
    """

    def __init__(self, network: nn.Module, images: int) -> None:
        super().__init__([m for m in network.modules() if not list(m.children()) and not isinstance(m, nn.Identity)])

    def _value(self, output: Tensor) -> float:
        with one_thread():
            return _smallest_eigenvalue(output[0].flatten(1).cpu().double())


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


def _smallest_eigenvalue(channels: Tensor) -> float:
    """Return that of the correlation matrix of the rows (C, H * W), 0 where it is singular; nan if they are not finite.

    A constant channel is correlated with none, itself included, and makes the matrix singular.
    """
    if not bool(channels.isfinite().all()):
        return math.nan
    count, pixels = channels.shape
    centred = channels - channels.mean(dim=1, keepdim=True)
    lengths = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    if count >= pixels or bool((lengths == 0).any()):
        return 0.0
    rows = centred / lengths
    smallest = float(torch.linalg.eigvalsh(rows @ rows.T)[0])
    return smallest if smallest > count * torch.finfo(torch.float64).eps * count else 0.0
