"""How far the channels of every layer are from being linearly dependent."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from naswot_lightning.scores.base import FORWARD, Measured, proxy
from naswot_lightning.scores.gradients import one_thread
from naswot_lightning.scores.output_watch import OutputWatch


class SmallestEigenvalues(OutputWatch):
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


@proxy("meco", source="Jiang et al. 2023", cost=FORWARD, exact_sums=False, watches=(SmallestEigenvalues,))
def meco(measured: Measured) -> float:
    """Return the sum over the layers of the smallest eigenvalue of their channels' correlation matrix.

    A layer is a module without submodules, each call of one counts; its output for the first image of the probe is C
    channels of H * W pixels. With as many channels as pixels or more the eigenvalue is 0, so that the deep layers of a
    network count nothing. The authors' code counts modules that hold others, too, and runs one image of noise; here the
    forward pass is that of the kernel.

    Returns:
        The sum; -inf where the channels of every layer are linearly dependent, nan where an output is not finite.
    """
    total = sum(measured.watched(SmallestEigenvalues).values)
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
